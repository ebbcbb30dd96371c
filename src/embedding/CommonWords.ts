/**
 * English words that are no stop words and yet say little about what a text is about. The hashing embedder knows no
 * frequencies; this list stands in for them.
 */
const list = `
able across actually add ago allow almost alone along already also although always among amount another anyone
anything anyway around ask asked asking away back bad become becomes began begin behind believe best better big
bit bring brought call called came cannot case cause certain change changed clear close come comes coming common
complete consider contain contains could course current currently day days deal decide describe detail details
different difficult done due early easily easy either else end ends enough especially even ever every everybody
everyone everything exactly example except expect fact far find finds first follow following follows form former
found four full gave general get gets getting give given gives giving go goes going gone good got great group
half hand hands happen happened happens hard hear heard held help helped helps high hold holds hour hours
however idea important include included includes including increase inside instead item items keep keeps kept
kind knew know known knows large last late later least leave leaves left less let lets like likely line list
little live long longer look looked looking looks lot low made main make makes making man many matter may maybe
mean means meet might mind minute minutes moment month months move moved much must name named near nearly
necessary need needed needs never new next nobody none normal note nothing number numbers often old one ones
onto open order others otherwise outside part particular parts pass past people per perhaps person place places
plan point points possible present probably problem problems provide provided put puts question quick quickly
quite rather reach read real really reason reasons receive remain remains remember return returns right run runs
said saw say says second see seem seems seen send sent set sets several shall show shown shows side simple
simply since single small somebody someone something sometimes soon sort start started starts state stay still
stop sure take taken takes taking talk tell tells ten thing things think third though thought three thus time
times today together told took top toward towards tried true try trying turn turned two type upon us use used
useful user uses using usual usually value various want wanted wants way ways week weeks well went whatever
whether whole wish within without word words work worked working works would write wrong year years yes yet`

export const commonWords: ReadonlySet<string> = new Set(list.trim().split(/\s+/u))
