;; Upper bounds of exact scores from int8 codes and one int16 query. Their dot products are integers and the bounds are computed
;; in float64, so that every machine gives the same numbers.
;;
;; A code takes `stride` bytes, a multiple of 16, filled up with zeros; the query `stride` int16. Four codes are woven: 16 bytes
;; of the first, of the second, of the third and of the fourth, then the next 16 of each. So four share each load of the query,
;; and memory is read from its beginning to its end, which the processor foresees; four streams of `stride` bytes it does not.
;; Each lane of an accumulator stays within int32, because the caller scales the query by its number of dimensions.
(module
  (import "scan" "memory" (memory 0 65536 shared))

  ;; Weaves `fours` times four codes.
  (func (export "weave") (param $codes i32) (param $fours i32) (param $stride i32) (param $to i32)
    (local $a i32) (local $b i32) (local $c i32) (local $d i32) (local $end i32)
    (block $done
      (loop $each
        (br_if $done (i32.eqz (local.get $fours)))
        (local.set $a (local.get $codes))
        (local.set $b (i32.add (local.get $a) (local.get $stride)))
        (local.set $c (i32.add (local.get $b) (local.get $stride)))
        (local.set $d (i32.add (local.get $c) (local.get $stride)))
        (local.set $end (local.get $b))
        (local.set $codes (i32.add (local.get $d) (local.get $stride)))
        (loop $dimensions
          (v128.store (local.get $to) (v128.load (local.get $a)))
          (v128.store offset=16 (local.get $to) (v128.load (local.get $b)))
          (v128.store offset=32 (local.get $to) (v128.load (local.get $c)))
          (v128.store offset=48 (local.get $to) (v128.load (local.get $d)))
          (local.set $a (i32.add (local.get $a) (i32.const 16)))
          (local.set $b (i32.add (local.get $b) (i32.const 16)))
          (local.set $c (i32.add (local.get $c) (i32.const 16)))
          (local.set $d (i32.add (local.get $d) (i32.const 16)))
          (local.set $to (i32.add (local.get $to) (i32.const 64)))
          (br_if $dimensions (i32.lt_u (local.get $a) (local.get $end))))
        (local.set $fours (i32.sub (local.get $fours) (i32.const 1)))
        (br $each))))

  ;; Writes `fours` times four int32 to `out`.
  (func $dots (param $codes i32) (param $fours i32) (param $stride i32) (param $query i32) (param $out i32)
    (local $end i32) (local $q i32) (local $low v128) (local $high v128)
    (local $a v128) (local $b v128) (local $c v128) (local $d v128)
    (local.set $end (i32.add (local.get $query) (i32.shl (local.get $stride) (i32.const 1))))
    (block $done
      (loop $each
        (br_if $done (i32.eqz (local.get $fours)))
        (local.set $a (v128.const i32x4 0 0 0 0))
        (local.set $b (v128.const i32x4 0 0 0 0))
        (local.set $c (v128.const i32x4 0 0 0 0))
        (local.set $d (v128.const i32x4 0 0 0 0))
        (local.set $q (local.get $query))
        (loop $dimensions
          (local.set $low (v128.load (local.get $q)))
          (local.set $high (v128.load offset=16 (local.get $q)))
          (local.set $a (i32x4.add (local.get $a) (i32x4.add
            (i32x4.dot_i16x8_s (v128.load8x8_s (local.get $codes)) (local.get $low))
            (i32x4.dot_i16x8_s (v128.load8x8_s offset=8 (local.get $codes)) (local.get $high)))))
          (local.set $b (i32x4.add (local.get $b) (i32x4.add
            (i32x4.dot_i16x8_s (v128.load8x8_s offset=16 (local.get $codes)) (local.get $low))
            (i32x4.dot_i16x8_s (v128.load8x8_s offset=24 (local.get $codes)) (local.get $high)))))
          (local.set $c (i32x4.add (local.get $c) (i32x4.add
            (i32x4.dot_i16x8_s (v128.load8x8_s offset=32 (local.get $codes)) (local.get $low))
            (i32x4.dot_i16x8_s (v128.load8x8_s offset=40 (local.get $codes)) (local.get $high)))))
          (local.set $d (i32x4.add (local.get $d) (i32x4.add
            (i32x4.dot_i16x8_s (v128.load8x8_s offset=48 (local.get $codes)) (local.get $low))
            (i32x4.dot_i16x8_s (v128.load8x8_s offset=56 (local.get $codes)) (local.get $high)))))
          (local.set $codes (i32.add (local.get $codes) (i32.const 64)))
          (local.set $q (i32.add (local.get $q) (i32.const 32)))
          (br_if $dimensions (i32.lt_u (local.get $q) (local.get $end))))
        ;; The lanes of each are added up, two and two.
        (local.set $a (i32x4.add
          (i8x16.shuffle 0 1 2 3 16 17 18 19 4 5 6 7 20 21 22 23 (local.get $a) (local.get $b))
          (i8x16.shuffle 8 9 10 11 24 25 26 27 12 13 14 15 28 29 30 31 (local.get $a) (local.get $b))))
        (local.set $c (i32x4.add
          (i8x16.shuffle 0 1 2 3 16 17 18 19 4 5 6 7 20 21 22 23 (local.get $c) (local.get $d))
          (i8x16.shuffle 8 9 10 11 24 25 26 27 12 13 14 15 28 29 30 31 (local.get $c) (local.get $d))))
        (v128.store (local.get $out) (i32x4.add
          (i8x16.shuffle 0 1 2 3 4 5 6 7 16 17 18 19 20 21 22 23 (local.get $a) (local.get $c))
          (i8x16.shuffle 8 9 10 11 12 13 14 15 24 25 26 27 28 29 30 31 (local.get $a) (local.get $c))))
        (local.set $out (i32.add (local.get $out) (i32.const 16)))
        (local.set $fours (i32.sub (local.get $fours) (i32.const 1)))
        (br $each))))

  ;; Of a unit of woven codes with their scales and errors (float32) before them, writes `fours` times four bounds (float64) to
  ;; `out`: (unit · dot + perScale) · scale + min(perError · error, perStep · scale + least). Answers their sum, which is no
  ;; finite number where one of them is none: of what is no number the least is none. `dots` is room for the dot products.
  (func (export "bounds")
    (param $scales i32) (param $errors i32) (param $codes i32) (param $fours i32) (param $stride i32)
    (param $query i32) (param $dots i32) (param $out i32)
    (param $unit f64) (param $perScale f64) (param $perError f64) (param $perStep f64) (param $least f64)
    (result f64)
    (local $end i32) (local $scale v128) (local $bound v128) (local $sum v128)
    (local $units v128) (local $perScales v128) (local $perErrors v128) (local $perSteps v128) (local $leasts v128)
    (call $dots (local.get $codes) (local.get $fours) (local.get $stride) (local.get $query) (local.get $dots))
    (local.set $units (f64x2.splat (local.get $unit)))
    (local.set $perScales (f64x2.splat (local.get $perScale)))
    (local.set $perErrors (f64x2.splat (local.get $perError)))
    (local.set $perSteps (f64x2.splat (local.get $perStep)))
    (local.set $leasts (f64x2.splat (local.get $least)))
    (local.set $end (i32.add (local.get $dots) (i32.shl (local.get $fours) (i32.const 4))))
    (block $done
      (loop $twos
        (br_if $done (i32.ge_u (local.get $dots) (local.get $end)))
        (local.set $scale (f64x2.promote_low_f32x4 (v128.load64_zero (local.get $scales))))
        (local.set $bound (f64x2.add
          (f64x2.mul
            (f64x2.add
              (f64x2.mul (local.get $units) (f64x2.convert_low_i32x4_s (v128.load64_zero (local.get $dots))))
              (local.get $perScales))
            (local.get $scale))
          (f64x2.min
            (f64x2.mul
              (local.get $perErrors)
              (f64x2.promote_low_f32x4 (v128.load64_zero (local.get $errors))))
            (f64x2.add (f64x2.mul (local.get $perSteps) (local.get $scale)) (local.get $leasts)))))
        (v128.store (local.get $out) (local.get $bound))
        (local.set $sum (f64x2.add (local.get $sum) (local.get $bound)))
        (local.set $scales (i32.add (local.get $scales) (i32.const 8)))
        (local.set $errors (i32.add (local.get $errors) (i32.const 8)))
        (local.set $dots (i32.add (local.get $dots) (i32.const 8)))
        (local.set $out (i32.add (local.get $out) (i32.const 16)))
        (br $twos)))
    (f64.add (f64x2.extract_lane 0 (local.get $sum)) (f64x2.extract_lane 1 (local.get $sum)))))
