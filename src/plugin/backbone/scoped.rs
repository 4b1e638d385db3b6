//! What holds for a pass on one thread.

use std::{cell::Cell, thread::LocalKey};

/// Runs `pass` while `cell` holds `value` on this thread; what was there before is restored, also after a panic.
pub fn during<V: Copy + 'static, T>(
    cell: &'static LocalKey<Cell<V>>,
    value: V,
    pass: impl FnOnce() -> T,
) -> T {
    struct Restored<V: Copy + 'static>(&'static LocalKey<Cell<V>>, V);
    impl<V: Copy> Drop for Restored<V> {
        fn drop(&mut self) {
            self.0.set(self.1);
        }
    }
    let _restored = Restored(cell, cell.replace(value));
    pass()
}

#[cfg(test)]
mod tests {
    use super::*;

    thread_local! {
        static DEPTH: Cell<u8> = const { Cell::new(0) };
    }

    #[test]
    fn what_was_is_restored_after_a_pass_and_after_a_panic() {
        let seen = during(&DEPTH, 1, || {
            let inner = during(&DEPTH, 2, || DEPTH.get());
            [inner, DEPTH.get()]
        });
        assert_eq!((seen, DEPTH.get()), ([2, 1], 0));
        let panicked = std::panic::catch_unwind(|| during(&DEPTH, 3, || panic!("in a pass")));
        assert!(panicked.is_err() && DEPTH.get() == 0);
    }
}
