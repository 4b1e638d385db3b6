use tch::{Device, Kind};

use super::*;

fn empty(shape: &[i64]) -> Tensor {
    Tensor::zeros(shape, (Kind::Float, Device::Cpu))
}

#[test]
fn bytes_and_multiply_adds_add_up() {
    let ledger = Ledger::of(|| {
        next_stage();
        enter(&empty(&[0, 2, 5]), F32, 3);
        enter_fixed(&empty(&[7]));
        next_stage();
        folded(4, || enter(&empty(&[0, 5]), F32, 1));
        enter_for_training(&[100]);
        enter(&empty(&[0, 1]), 12, 0);
        Ok(())
    })
    .unwrap();
    // Bytes a sample: 40, then 28 for any batch; 80, 400 in training, 12.
    assert_eq!(ledger.multiply_adds, 30 + 20);
    assert_eq!(ledger.inference(1), 40 + 28 + 80);
    assert_eq!(ledger.inference(3), 120 + 28 + 240);
    // At the largest: all before it, it, its gradient and its input's.
    assert_eq!(ledger.training(1, 0), (40 + 28 + 80 + 400) + 400 + 80);
    assert_eq!(ledger.training(2, 1), (160 + 800) + 800 + 160);
    // Nothing is trained: the pass forward is the most.
    assert_eq!(ledger.training(1, 2), ledger.inference(1));
}

#[test]
fn what_is_held_adds_to_what_comes_after_it() {
    let ledger = Ledger::of(|| {
        next_stage();
        let input = empty(&[0, 10]);
        enter(&input, F32, 0);
        holding(folded(2, || bytes(&[&input])), || {
            enter(&empty(&[0, 1]), F32, 0);
            enter(&empty(&[0, 2]), F32, 0);
            holding(bytes(&[&input]), || enter_fixed(&empty(&[3])));
        });
        enter(&empty(&[0, 4]), F32, 0);
        enter_copy(&empty(&[25]));
        Ok(())
    })
    .unwrap();
    assert_eq!(bytes(&[&empty(&[0, 10])]), 0);
    // 40; held 80: 4 and 8; held 120: 12 for any batch; 16; a copy of 100.
    assert_eq!(ledger.inference(1), 100 + 80 + 40 + 12);
    assert_eq!(ledger.inference(2), 100 + 2 * (80 + 40) + 12);
    let (made, gradients) = (40 + 4 + 8 + 12 + 16, 16 + 12);
    assert_eq!(ledger.training(1, 0), 200 + made + gradients);
}

#[test]
fn what_one_kind_of_pass_makes_is_not_counted_in_the_other() {
    let ledger = Ledger::of(|| {
        next_stage();
        enter(&empty(&[0, 1]), F32, 0);
        enter_for_inference(&empty(&[0, 100]));
        enter_for_training(&[1000]);
        Ok(())
    })
    .unwrap();
    assert_eq!(ledger.inference(1), 4 + 400);
    assert_eq!(ledger.training(1, 0), (4 + 4000) + 4000 + 4);
}

#[test]
fn a_walk_sees_its_own_entries_only() {
    enter(&empty(&[0, 1]), F32, 1);
    let outer = Ledger::of(|| {
        next_stage();
        enter(&empty(&[0, 1]), F32, 0);
        let inner = Ledger::of(|| {
            next_stage();
            enter(&empty(&[0, 9]), F32, 0);
            Ok(())
        })?;
        assert_eq!(inner.inference(1), 36);
        Ok(())
    })
    .unwrap();
    assert_eq!(outer.inference(1), 4);
    assert!(Ledger::of(|| Err(crate::error::Error::invalid("no"))).is_err());
    // A walk that failed is over.
    LEDGER.with_borrow(|ledger| assert!(ledger.is_none()));
}
