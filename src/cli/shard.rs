//! A share of the boxes of a run, where several processes divide them.

use std::{ops::Range, str::FromStr};

/// The `number`-th of `n_shards` shares, counted from 1. Shares follow one another in the order of the boxes, and their sizes differ by one at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shard {
    number: usize,
    n_shards: usize,
}

impl FromStr for Shard {
    type Err = String;

    fn from_str(text: &str) -> Result<Shard, String> {
        let (number, n_shards) = text
            .split_once('/')
            .and_then(|(number, n_shards)| Some((number.parse().ok()?, n_shards.parse().ok()?)))
            .ok_or("expected a number and how many there are, such as 2/8")?;
        if number == 0 || number > n_shards {
            return Err(format!("there are {n_shards} shards, counted from 1"));
        }
        Ok(Shard { number, n_shards })
    }
}

impl Shard {
    /// Which of `n` boxes are its own.
    ///
    /// # Errors
    /// There are fewer boxes than shards, so that some would have none.
    pub fn of(self, n: usize) -> Result<Range<usize>, String> {
        let Shard { number, n_shards } = self;
        if n < n_shards {
            return Err(format!("--shard {number}/{n_shards}: there are only {n} boxes to share"));
        }
        let start = |number: usize| (number as u128 * n as u128 / n_shards as u128) as usize;
        Ok(start(number - 1)..start(number))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_cover_all_boxes_once() {
        for (n, n_shards) in [(7, 1), (7, 3), (8, 8), (1_000_003, 17)] {
            let mut end = 0;
            for number in 1..=n_shards {
                let shard: Shard = format!("{number}/{n_shards}").parse().unwrap();
                let range = shard.of(n).unwrap();
                assert_eq!(range.start, end);
                assert!((n / n_shards..=n.div_ceil(n_shards)).contains(&range.len()));
                end = range.end;
            }
            assert_eq!(end, n);
        }
        assert!("2/3".parse::<Shard>().unwrap().of(2).unwrap_err().contains("only 2 boxes"));
    }

    #[test]
    fn what_is_no_share_is_refused() {
        for text in ["", "1", "0/3", "4/3", "1/0", "a/b", "1/2/3", "-1/2", "1/ 2"] {
            assert!(text.parse::<Shard>().is_err(), "{text}");
        }
    }
}
