//! Random numbers, and arguments that are valid, nearly valid or nonsense.

/// SplitMix64 (Steele, Lea & Flood 2014): a run is its seed.
pub struct Draw {
    state: u64,
    /// Whether the call at hand is to be one that a host would make: what it finds behind the checks of arguments.
    pub is_sane: bool,
}

impl Draw {
    pub fn new(seed: u64) -> Draw {
        Draw { state: seed, is_sane: true }
    }

    pub fn bits(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `n`.
    pub fn below(&mut self, n: usize) -> usize {
        (self.bits() % n as u64) as usize
    }

    /// True once in `n` times.
    pub fn once_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    /// True once in `n` times in a call that may be wrong.
    pub fn fault(&mut self, n: usize) -> bool {
        self.once_in(n) && !self.is_sane
    }

    /// From 0 up to 1.
    pub fn unit(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1u64 << 53) as f64
    }

    pub fn of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())]
    }

    /// Leaves most structs as they are; gives others up to two values that may make no sense.
    pub fn spoil(&mut self, fields: &mut [&mut dyn Spoil]) {
        let n = if self.is_sane { usize::from(self.once_in(8)) } else { self.below(3) };
        for _ in 0..n {
            let index = self.below(fields.len());
            fields[index].spoil(self);
        }
    }
}

/// What can be given a value that may make no sense.
pub trait Spoil {
    fn spoil(&mut self, draw: &mut Draw);
}

impl Spoil for i32 {
    fn spoil(&mut self, draw: &mut Draw) {
        let near = self.wrapping_add(draw.below(5) as i32 - 2);
        *self = draw.of(&[-2, -1, 0, 1, 2, 3, 4, 5, 7, 255, i32::MAX, i32::MIN, near, near]);
    }
}

impl Spoil for i64 {
    fn spoil(&mut self, draw: &mut Draw) {
        let near = self.wrapping_add(draw.below(5) as i64 - 2);
        let huge = draw.of(&[i64::MAX, i64::MIN, 1 << 20, 1 << 32, 1 << 62]);
        *self = draw.of(&[-1, 0, 1, 2, 3, 7, 8, 33, 100, near, near, huge]);
    }
}

impl Spoil for u64 {
    fn spoil(&mut self, draw: &mut Draw) {
        let bits = draw.bits();
        *self = draw.of(&[0, 1, 1 << 20, u64::MAX, i64::MAX as u64, bits]);
    }
}

impl Spoil for usize {
    fn spoil(&mut self, draw: &mut Draw) {
        *self = draw.of(&[0, 1, 2, 3, 5, self.wrapping_sub(1), *self + 1, usize::MAX, 1 << 62]);
    }
}

impl Spoil for f64 {
    fn spoil(&mut self, draw: &mut Draw) {
        let (scaled, unit) = (*self * 4.0 * draw.unit(), draw.unit());
        *self = draw.of(&[
            f64::NAN,
            f64::INFINITY,
            f64::NEG_INFINITY,
            0.0,
            -0.0,
            -1.0,
            1.0,
            0.5,
            5e-324,
            1e-30,
            1e30,
            f64::MAX,
            scaled,
            scaled,
            scaled,
            unit,
        ]);
    }
}

impl<T: Spoil, const N: usize> Spoil for [T; N] {
    fn spoil(&mut self, draw: &mut Draw) {
        let index = draw.below(N);
        self[index].spoil(draw);
    }
}

/// A struct with memory behind it, as large as any `struct_size` that the library accepts.
#[repr(C)]
pub struct Padded<T> {
    pub value: T,
    beyond: [u64; 520],
}

impl<T> Padded<T> {
    pub fn new(value: T) -> Padded<T> {
        Padded { value, beyond: [0; 520] }
    }
}

impl<T: Copy> Padded<T> {
    /// Now and then the struct of an older, a newer or a confused host. `size` is the field `struct_size`.
    pub fn size(mut self, draw: &mut Draw, size: fn(&mut T) -> &mut usize) -> Padded<T> {
        if draw.fault(8) {
            let known = size_of::<T>();
            let sizes = [0, 7, 8, known - 8, known + 8, known + 16, 4096, 4097, usize::MAX];
            *size(&mut self.value) = draw.of(&sizes);
            if draw.once_in(3) {
                self.beyond[draw.below(4)] = draw.bits();
            }
        }
        self
    }
}

/// A buffer of a stated capacity that notices what is written beyond it, or at all.
pub struct Buffer<T> {
    memory: Vec<T>,
    capacity: usize,
    mark: T,
}

/// Values behind each buffer.
const GUARDS: usize = 64;

impl<T: Copy + PartialEq + std::fmt::Debug> Buffer<T> {
    pub fn new(capacity: usize, mark: T) -> Buffer<T> {
        Buffer { memory: vec![mark; capacity + GUARDS], capacity, mark }
    }

    pub fn pointer(&mut self) -> *mut T {
        self.memory.as_mut_ptr()
    }

    pub fn values(&self) -> &[T] {
        &self.memory[..self.capacity]
    }

    /// Panics if more than the first `n_written` values changed.
    pub fn check(&self, n_written: usize, call: &str) {
        let changed = self.memory[n_written..].iter().position(|value| *value != self.mark);
        assert_eq!(changed, None, "{call}: written beyond {n_written} of {}", self.capacity);
    }
}
