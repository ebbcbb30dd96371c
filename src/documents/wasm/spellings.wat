;; Cuts a text into plain words, looks each up in a hash table of spellings and counts it.
;;
;; A plain word is letters of ASCII, of which the first may be a capital, or digits, 16 of them at most, between separators of
;; ASCII. Whatever else comes is left to the caller, and so is a spelling that the table does not hold: it is called again
;; when that is done. Words are cut, and the first slot of each is read, up to 128 together, before any is looked at: what is
;; done next depends on a slot, and waiting for each in turn would take most of the time.
;;
;; Where things lie, in bytes (SpellingTable.ts knows it, too):
;;       0  by length, which bytes of 16 are a spelling's own (17 × 16)
;;     272  what a spelling's four words are multiplied with for its place
;;     288  cells: position, words cut, next to be met, distinct spellings met, words cut in all, another run stands at position
;;     512  what a character is, by its code (256): 0 separator, 1 lower, 2 upper, 3 digit, others are not plain
;;    1024  words that are cut: start and length in 16 bits each, hash (128 × 8)
;;    2048  the text, a byte a character; what is not ASCII is above 127 (8,192, and 32 beyond)
;;   10304  the text in UTF-16 (16,384, and 32 beyond)
;;   28672  of each distinct spelling its word's number (16,384 × 4)
;;   94208  and how often it was met (16,384 × 4)
;;  159744  and its token (16,384 × 4)
;;  262144  slots of 32 bytes: the word's number plus one (0: free; its highest bit: the word is stopped), the text in which it was
;;          met last, its place among those that were met, its token, the spelling filled up with zeros
(module
  (import "spellings" "memory" (memory 1))

  ;; The text from UTF-16 to bytes, with a separator after it.
  (func (export "narrow") (param $size i32)
    (local $at i32) (local $most v128)
    (local.set $most (i16x8.splat (i32.const 255)))
    (block $done
      (loop $more
        (br_if $done (i32.ge_u (local.get $at) (local.get $size)))
        (v128.store offset=2048 (local.get $at)
          (i8x16.narrow_i16x8_u
            (i16x8.min_u (v128.load offset=10304 (i32.shl (local.get $at) (i32.const 1))) (local.get $most))
            (i16x8.min_u (v128.load offset=10320 (i32.shl (local.get $at) (i32.const 1))) (local.get $most))))
        (local.set $at (i32.add (local.get $at) (i32.const 16)))
        (br $more)))
    (i32.store8 offset=2048 (local.get $size) (i32.const 32)))

  ;; The spelling that stands at `start`.
  (func $key (param $start i32) (param $length i32) (result v128)
    (v128.and
      (v128.load offset=2048 (local.get $start))
      (v128.load (i32.shl (local.get $length) (i32.const 4)))))

  ;; Goes on until the text is over (0), another run stands at the position (1), or the next spelling is not known (2).
  ;; A hash shifted right by `shift` is the number of a slot; `mask` are the bits of a slot's offset.
  (func (export "count") (param $size i32) (param $shift i32) (param $mask i32) (param $text i32) (result i32)
    (local $position i32) (local $end i32) (local $kind i32) (local $rest i32)
    (local $words i32) (local $next i32) (local $word i32) (local $slot i32)
    (local $met i32) (local $place i32) (local $fetched i32) (local $key v128) (local $factors v128)
    (local.set $factors (v128.load offset=272 (i32.const 0)))
    (local.set $position (i32.load offset=288 (i32.const 0)))
    (local.set $words (i32.load offset=292 (i32.const 0)))
    (local.set $next (i32.load offset=296 (i32.const 0)))
    (local.set $met (i32.load offset=300 (i32.const 0)))
    (loop $again
      ;; What was cut is met.
      (block $all_met
        (loop $meet
          (br_if $all_met (i32.ge_u (local.get $next) (local.get $words)))
          (local.set $word (i32.load offset=1024 (i32.shl (local.get $next) (i32.const 3))))
          (local.set $key
            (call $key
              (i32.and (local.get $word) (i32.const 0xffff))
              (i32.shr_u (local.get $word) (i32.const 16))))
          (local.set $slot
            (i32.shl
              (i32.shr_u (i32.load offset=1028 (i32.shl (local.get $next) (i32.const 3))) (local.get $shift))
              (i32.const 5)))
          (block $found
            (loop $probe
              (br_if $found
                (i32.eqz
                  (v128.any_true (v128.xor (local.get $key) (v128.load offset=262160 (local.get $slot))))))
              (if (i32.eqz (i32.load offset=262144 (local.get $slot)))
                (then
                  (i32.store offset=288 (i32.const 0) (local.get $position))
                  (i32.store offset=292 (i32.const 0) (local.get $words))
                  (i32.store offset=296 (i32.const 0) (local.get $next))
                  (i32.store offset=300 (i32.const 0) (local.get $met))
                  (return (i32.const 2))))
              (local.set $slot (i32.and (i32.add (local.get $slot) (i32.const 32)) (local.get $mask)))
              (br $probe)))
          (if (i32.eq (i32.load offset=262148 (local.get $slot)) (local.get $text))
            (then
              (local.set $place (i32.shl (i32.load offset=262152 (local.get $slot)) (i32.const 2)))
              (i32.store offset=94208 (local.get $place)
                (i32.add (i32.load offset=94208 (local.get $place)) (i32.const 1))))
            (else
              (i32.store offset=262148 (local.get $slot) (local.get $text))
              (i32.store offset=262152 (local.get $slot) (local.get $met))
              (local.set $place (i32.shl (local.get $met) (i32.const 2)))
              (i32.store offset=28672 (local.get $place)
                (i32.sub (i32.load offset=262144 (local.get $slot)) (i32.const 1)))
              (i32.store offset=94208 (local.get $place) (i32.const 1))
              (i32.store offset=159744 (local.get $place) (i32.load offset=262156 (local.get $slot)))
              (local.set $met (i32.add (local.get $met) (i32.const 1)))))
          (local.set $next (i32.add (local.get $next) (i32.const 1)))
          (br $meet)))
      (local.set $words (i32.const 0))
      (local.set $next (i32.const 0))

      (if (i32.or
            (i32.load offset=308 (i32.const 0))
            (i32.ge_u (local.get $position) (local.get $size)))
        (then
          (i32.store offset=288 (i32.const 0) (local.get $position))
          (i32.store offset=292 (i32.const 0) (i32.const 0))
          (i32.store offset=296 (i32.const 0) (i32.const 0))
          (i32.store offset=300 (i32.const 0) (local.get $met))
          (return (i32.load offset=308 (i32.const 0)))))

      ;; The next ones are cut.
      (block $cut
        (loop $word
          (br_if $cut (i32.eq (local.get $words) (i32.const 128)))
          (loop $separators
            (br_if $cut (i32.ge_u (local.get $position) (local.get $size)))
            (local.set $kind (i32.load8_u offset=512 (i32.load8_u offset=2048 (local.get $position))))
            (if (i32.eqz (local.get $kind))
              (then
                (local.set $position (i32.add (local.get $position) (i32.const 1)))
                (br $separators))))
          (local.set $end (i32.add (local.get $position) (i32.const 1)))
          (local.set $rest (select (i32.const 3) (i32.const 1) (i32.eq (local.get $kind) (i32.const 3))))
          (if (i32.le_u (local.get $kind) (i32.const 3))
            (then
              (loop $letters
                (local.set $kind (i32.load8_u offset=512 (i32.load8_u offset=2048 (local.get $end))))
                (if (i32.eq (local.get $kind) (local.get $rest))
                  (then
                    (local.set $end (i32.add (local.get $end) (i32.const 1)))
                    (br $letters))))))
          (if (i32.or
                (local.get $kind)
                (i32.gt_u (i32.sub (local.get $end) (local.get $position)) (i32.const 16)))
            (then
              (i32.store offset=308 (i32.const 0) (i32.const 1))
              (br $cut)))
          (local.set $key
            (i32x4.mul
              (call $key (local.get $position) (i32.sub (local.get $end) (local.get $position)))
              (local.get $factors)))
          (local.set $place
            (i32.add
              (i32.add (i32x4.extract_lane 0 (local.get $key)) (i32x4.extract_lane 1 (local.get $key)))
              (i32.add (i32x4.extract_lane 2 (local.get $key)) (i32x4.extract_lane 3 (local.get $key)))))
          (i32.store offset=1024 (i32.shl (local.get $words) (i32.const 3))
            (i32.or
              (local.get $position)
              (i32.shl (i32.sub (local.get $end) (local.get $position)) (i32.const 16))))
          (i32.store offset=1028 (i32.shl (local.get $words) (i32.const 3)) (local.get $place))
          (local.set $fetched
            (i32.xor
              (local.get $fetched)
              (i32.load offset=262144
                (i32.shl (i32.shr_u (local.get $place) (local.get $shift)) (i32.const 5)))))
          (local.set $words (i32.add (local.get $words) (i32.const 1)))
          (local.set $position (local.get $end))
          (br $word)))
      (i32.store offset=304 (i32.const 0)
        (i32.add (i32.load offset=304 (i32.const 0)) (local.get $words)))
      ;; What was read ahead goes somewhere, lest it be left out.
      (i32.store offset=312 (i32.const 0) (local.get $fetched))
      (br $again))
    (unreachable)))
