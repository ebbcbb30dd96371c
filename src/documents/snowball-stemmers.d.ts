/** The package ships no types. */
declare module "snowball-stemmers" {
  interface Stemmer {
    readonly stem: (word: string) => string
  }
  const snowball: {
    readonly newStemmer: (algorithm: string) => Stemmer
    readonly algorithms: () => Array<string>
  }
  export default snowball
}
