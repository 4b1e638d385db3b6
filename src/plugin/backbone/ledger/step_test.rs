use tch::{Device, Kind};

use super::*;
use crate::backbone::ledger::{
    Ledger, begin_step, enter, enter_copy, enter_for_inference, enter_for_training, enter_weights,
};

fn empty(shape: &[i64]) -> Tensor {
    Tensor::zeros(shape, (Kind::Float, Device::Cpu))
}

fn most(n: u64, walk: impl FnOnce()) -> u64 {
    let ledger = Ledger::of(|| {
        begin_step(n, &empty(&[0, 1]));
        walk();
        Ok(())
    });
    ledger.unwrap().step()
}

fn layer(kept: u64, forward: u64, back: u64) -> Layer {
    Layer { kept, forward, back, ..Layer::default() }
}

/// By hand: what is kept up to a layer and what that takes, on both ways; the input is 4 bytes.
#[test]
fn the_most_is_looked_for_on_both_ways() {
    assert_eq!(most(1, || ()), 4);
    assert_eq!(most(10, || ()), 40);
    let of = |layers: [Layer; 3]| most(1, || layers.into_iter().for_each(enter_layer));
    // The end of the way forward.
    assert_eq!(of([layer(10, 0, 0), layer(20, 0, 0), layer(30, 5, 1)]), 4 + 60 + 5);
    // The first layer forward, the second back.
    assert_eq!(of([layer(10, 900, 0), layer(20, 0, 0), layer(30, 0, 0)]), 4 + 10 + 900);
    assert_eq!(of([layer(10, 0, 0), layer(20, 0, 900), layer(30, 0, 0)]), 4 + 30 + 900);
    // What the last worked in is still there, and the gradients of its weights.
    let last = Layer { scratch: 7, weights: 1000, ..layer(30, 0, 0) };
    let first = Layer { scratch: 5, weights: 100, ..layer(10, 0, 50) };
    assert_eq!(of([first, layer(20, 0, 0), last]), 4 + 10 + 50 + 7 + 1100);
}

#[test]
fn gradients_wait_for_others() {
    let input = empty(&[0, 25]).set_requires_grad(true);
    // 200 bytes of the input twice; 12 and 8 are kept.
    let found = most(2, || {
        waiting(1000, || {
            joining(&input, || enter_layer(layer(12, 0, 30)));
            enter_layer(layer(8, 0, 0));
        });
        enter_layer(layer(16, 0, 500));
    });
    // The input's own 8, both gradients and their sum; the other layer takes less.
    assert_eq!(found, 8 + 1000 + 3 * 200);
    let fixed = empty(&[0, 25]);
    let found = most(2, || joining(&fixed, || enter_layer(layer(12, 0, 30))));
    assert_eq!(found, 8 + 12 + 30);
}

#[test]
fn layers_of_libtorch_keep_what_they_make() {
    let found = most(3, || {
        enter(&empty(&[0, 10]), F32, 0);
        enter_for_inference(&empty(&[0, 1000]));
        enter_weights(&empty(&[5]));
        enter_for_training(&[20]);
        enter_copy(&empty(&[100]));
        enter(&empty(&[0, 1]), F32, 0);
    });
    // Three times 4 of the input, 40, 80 and 4. Of the last the copies of its weights and their gradient, its own and what was before it.
    assert_eq!(found, 3 * (4 + 40 + 80 + 4) + 3 * 400 + 3 * (4 + 80));
}

#[test]
fn off_a_walk_nothing_is_entered() {
    enter_layer(layer(1, 1, 1));
    assert_eq!((batch_size(), of_batch(&empty(&[0, 3])), waiting(7, || 5)), (0, 0, 5));
}
