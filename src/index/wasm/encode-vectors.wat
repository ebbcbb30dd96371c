;; Codes of vectors: see Codes.ts, which says what they mean. Sums go from the first component to the last, in 64 bits, so that
;; every machine gives the same bits.
(module
  (import "encode" "memory" (memory 1))

  ;; `Math.round`: a half goes up.
  (func $round (param $values v128) (result v128)
    (local $up v128)
    (local.set $up (f64x2.ceil (local.get $values)))
    (f64x2.sub
      (local.get $up)
      (v128.and
        (f64x2.gt (f64x2.sub (local.get $up) (f64x2.splat (f64.const 0.5))) (local.get $values))
        (f64x2.splat (f64.const 1)))))

  ;; Reads `count` vectors of f32, `bytes` long each, a multiple of 64 that is filled up with zeros. Writes their codes, a quarter
  ;; as long each, their scales as f32, and what they lost as f64: the sum of the squares.
  (func (export "encode")
    (param $vectors i32) (param $count i32) (param $bytes i32) (param $codes i32) (param $scales i32) (param $lost i32)
    (local $at i32) (local $end i32) (local $part i32) (local $scale f32) (local $sum f64)
    (local $most v128) (local $wide v128) (local $values v128) (local $rounded v128) (local $rest v128) (local $four v128)
    (block $done
      (loop $vector
        (br_if $done (i32.eqz (local.get $count)))
        (local.set $end (i32.add (local.get $vectors) (local.get $bytes)))

        (local.set $most (v128.const i32x4 0 0 0 0))
        (local.set $at (local.get $vectors))
        (loop $size
          (local.set $most
            (f32x4.max (local.get $most) (f32x4.abs (v128.load (local.get $at)))))
          (local.set $at (i32.add (local.get $at) (i32.const 16)))
          (br_if $size (i32.lt_u (local.get $at) (local.get $end))))
        (local.set $most
          (f32x4.max
            (local.get $most)
            (i8x16.shuffle 8 9 10 11 12 13 14 15 0 1 2 3 4 5 6 7 (local.get $most) (local.get $most))))
        (local.set $scale
          (f32.demote_f64
            (f64.div
              (f64.promote_f32
                (f32.max (f32x4.extract_lane 0 (local.get $most)) (f32x4.extract_lane 1 (local.get $most))))
              (f64.const 127))))
        (f32.store (local.get $scales) (local.get $scale))
        (local.set $wide (f64x2.splat (f64.promote_f32 (local.get $scale))))

        (local.set $sum (f64.const 0))
        (local.set $at (local.get $vectors))
        (loop $four_components
          (local.set $four (v128.load (local.get $at)))
          (local.set $part (i32.const 0))
          (local.set $most (v128.const i32x4 0 0 0 0))
          (loop $two
            (local.set $values (f64x2.promote_low_f32x4 (local.get $four)))
            (local.set $rounded (v128.const i32x4 0 0 0 0))
            ;; Of zeros alone, or of what is too small for a scale, the codes are zeros.
            (if (f32.ne (local.get $scale) (f32.const 0))
              (then
                (local.set $rounded
                  (f64x2.max
                    (f64x2.splat (f64.const -127))
                    (f64x2.min
                      (f64x2.splat (f64.const 127))
                      (call $round (f64x2.div (local.get $values) (local.get $wide))))))))
            (local.set $rest
              (f64x2.sub (local.get $values) (f64x2.mul (local.get $wide) (local.get $rounded))))
            (local.set $rest (f64x2.mul (local.get $rest) (local.get $rest)))
            (local.set $sum (f64.add (local.get $sum) (f64x2.extract_lane 0 (local.get $rest))))
            (local.set $sum (f64.add (local.get $sum) (f64x2.extract_lane 1 (local.get $rest))))
            (local.set $rounded (i32x4.trunc_sat_f64x2_s_zero (local.get $rounded)))
            (if (local.get $part)
              (then
                (local.set $most
                  (i8x16.shuffle 0 1 2 3 4 5 6 7 16 17 18 19 20 21 22 23 (local.get $most) (local.get $rounded))))
              (else
                (local.set $most (local.get $rounded))
                (local.set $four
                  (i8x16.shuffle 8 9 10 11 12 13 14 15 0 1 2 3 4 5 6 7 (local.get $four) (local.get $four)))
                (local.set $part (i32.const 1))
                (br $two))))
          (local.set $most (i16x8.narrow_i32x4_s (local.get $most) (local.get $most)))
          (v128.store32_lane 0 (local.get $codes)
            (i8x16.narrow_i16x8_s (local.get $most) (local.get $most)))
          (local.set $codes (i32.add (local.get $codes) (i32.const 4)))
          (local.set $at (i32.add (local.get $at) (i32.const 16)))
          (br_if $four_components (i32.lt_u (local.get $at) (local.get $end))))
        (f64.store (local.get $lost) (local.get $sum))

        (local.set $vectors (local.get $end))
        (local.set $scales (i32.add (local.get $scales) (i32.const 4)))
        (local.set $lost (i32.add (local.get $lost) (i32.const 8)))
        (local.set $count (i32.sub (local.get $count) (i32.const 1)))
        (br $vector)))))
