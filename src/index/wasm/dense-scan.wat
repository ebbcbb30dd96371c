;; Dot products of int8 codes with one int16 query, in integers: exact, so that every machine gives the same numbers.
;;
;; A code vector occupies `stride` bytes, a multiple of 16, filled up with zeros; the query `stride` int16. Four vectors
;; are summed at a time, so that each load of the query serves four. Each of the four lanes of an accumulator stays
;; within int32, because the caller scales the query by its number of dimensions.
(module
  (import "scan" "memory" (memory 1))

  (func $lanes (param $sum v128) (result i32)
    (i32.add
      (i32.add (i32x4.extract_lane 0 (local.get $sum)) (i32x4.extract_lane 1 (local.get $sum)))
      (i32.add (i32x4.extract_lane 2 (local.get $sum)) (i32x4.extract_lane 3 (local.get $sum)))))

  ;; Writes `count` int32 to `out`.
  (func (export "dots") (param $codes i32) (param $count i32) (param $stride i32) (param $query i32) (param $out i32)
    (local $end i32) (local $q i32)
    (local $a i32) (local $b i32) (local $c i32) (local $d i32)
    (local $sa v128) (local $sb v128) (local $sc v128) (local $sd v128) (local $low v128) (local $high v128)
    (local.set $end (i32.add (local.get $query) (i32.shl (local.get $stride) (i32.const 1))))

    (block $no_fours
      (loop $fours
        (br_if $no_fours (i32.lt_u (local.get $count) (i32.const 4)))
        (local.set $a (local.get $codes))
        (local.set $b (i32.add (local.get $a) (local.get $stride)))
        (local.set $c (i32.add (local.get $b) (local.get $stride)))
        (local.set $d (i32.add (local.get $c) (local.get $stride)))
        (local.set $codes (i32.add (local.get $d) (local.get $stride)))
        (local.set $sa (v128.const i32x4 0 0 0 0))
        (local.set $sb (v128.const i32x4 0 0 0 0))
        (local.set $sc (v128.const i32x4 0 0 0 0))
        (local.set $sd (v128.const i32x4 0 0 0 0))
        (local.set $q (local.get $query))
        (loop $dimensions
          (local.set $low (v128.load (local.get $q)))
          (local.set $high (v128.load offset=16 (local.get $q)))
          (local.set $sa (i32x4.add (local.get $sa) (i32x4.add
            (i32x4.dot_i16x8_s (v128.load8x8_s (local.get $a)) (local.get $low))
            (i32x4.dot_i16x8_s (v128.load8x8_s offset=8 (local.get $a)) (local.get $high)))))
          (local.set $sb (i32x4.add (local.get $sb) (i32x4.add
            (i32x4.dot_i16x8_s (v128.load8x8_s (local.get $b)) (local.get $low))
            (i32x4.dot_i16x8_s (v128.load8x8_s offset=8 (local.get $b)) (local.get $high)))))
          (local.set $sc (i32x4.add (local.get $sc) (i32x4.add
            (i32x4.dot_i16x8_s (v128.load8x8_s (local.get $c)) (local.get $low))
            (i32x4.dot_i16x8_s (v128.load8x8_s offset=8 (local.get $c)) (local.get $high)))))
          (local.set $sd (i32x4.add (local.get $sd) (i32x4.add
            (i32x4.dot_i16x8_s (v128.load8x8_s (local.get $d)) (local.get $low))
            (i32x4.dot_i16x8_s (v128.load8x8_s offset=8 (local.get $d)) (local.get $high)))))
          (local.set $a (i32.add (local.get $a) (i32.const 16)))
          (local.set $b (i32.add (local.get $b) (i32.const 16)))
          (local.set $c (i32.add (local.get $c) (i32.const 16)))
          (local.set $d (i32.add (local.get $d) (i32.const 16)))
          (local.set $q (i32.add (local.get $q) (i32.const 32)))
          (br_if $dimensions (i32.lt_u (local.get $q) (local.get $end))))
        (i32.store (local.get $out) (call $lanes (local.get $sa)))
        (i32.store offset=4 (local.get $out) (call $lanes (local.get $sb)))
        (i32.store offset=8 (local.get $out) (call $lanes (local.get $sc)))
        (i32.store offset=12 (local.get $out) (call $lanes (local.get $sd)))
        (local.set $out (i32.add (local.get $out) (i32.const 16)))
        (local.set $count (i32.sub (local.get $count) (i32.const 4)))
        (br $fours)))

    (block $no_more
      (loop $ones
        (br_if $no_more (i32.eqz (local.get $count)))
        (local.set $sa (v128.const i32x4 0 0 0 0))
        (local.set $q (local.get $query))
        (loop $dimensions
          (local.set $sa (i32x4.add (local.get $sa) (i32x4.add
            (i32x4.dot_i16x8_s (v128.load8x8_s (local.get $codes)) (v128.load (local.get $q)))
            (i32x4.dot_i16x8_s (v128.load8x8_s offset=8 (local.get $codes)) (v128.load offset=16 (local.get $q))))))
          (local.set $codes (i32.add (local.get $codes) (i32.const 16)))
          (local.set $q (i32.add (local.get $q) (i32.const 32)))
          (br_if $dimensions (i32.lt_u (local.get $q) (local.get $end))))
        (i32.store (local.get $out) (call $lanes (local.get $sa)))
        (local.set $out (i32.add (local.get $out) (i32.const 4)))
        (local.set $count (i32.sub (local.get $count) (i32.const 1)))
        (br $ones)))))
