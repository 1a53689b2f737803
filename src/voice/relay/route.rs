//! Who hears what of a batch. Pure: a bit per packet, in order of arrival.

/// Packets that one batch has at most: as many as one message with segmentation offload may have, and as a mask has
/// bits. 64 of 512 bytes are 32 KiB, half of what such a message may have in bytes.
pub(super) const BATCH: usize = 64;

/// Packets of a batch, a bit each.
pub(super) type Mask = u64;

/// The voices of a batch.
#[derive(Debug, Default)]
pub(super) struct Route {
    all: Mask,
    /// Seats that spoke, and what they said.
    talkers: Vec<(usize, Mask)>,
}

impl Route {
    /// Room for a batch, so that it never grows.
    pub(super) fn new() -> Self {
        Self {
            all: 0,
            talkers: Vec::with_capacity(BATCH),
        }
    }

    /// For the next batch.
    pub(super) fn clear(&mut self) {
        self.all = 0;
        self.talkers.clear();
    }

    /// Packet `slot` is the voice of `seat`.
    pub(super) fn add(&mut self, slot: usize, seat: usize) {
        let bit = 1 << slot;
        self.all |= bit;
        match self.talkers.iter_mut().find(|(talker, _)| *talker == seat) {
            Some((_, own)) => *own |= bit,
            None => self.talkers.push((seat, bit)),
        }
    }

    /// What is for everybody who said nothing.
    pub(super) fn all(&self) -> Mask {
        self.all
    }

    /// What is for each of `seats` seats, in order from `first` on and round, but for those for whom there is nothing:
    /// everything but their own.
    pub(super) fn fan(
        &mut self,
        seats: usize,
        first: usize,
    ) -> impl Iterator<Item = (usize, Mask)> + '_ {
        self.talkers.sort_unstable();
        let before = self.talkers.partition_point(|&(seat, _)| seat < first);
        self.talkers.rotate_left(before);
        let all = self.all;
        let mut talkers = self.talkers.iter().copied().peekable();
        (first..seats)
            .chain(0..first)
            .map(move |seat| {
                let own = talkers.next_if(|&(talker, _)| talker == seat);
                (seat, all & !own.map_or(0, |(_, own)| own))
            })
            .filter(|&(_, mask)| mask != 0)
    }
}

/// With whom of `seats` seats the fan of a batch begins: so that it is not always the same who have nothing when the
/// way out is full. Numbers in a row begin far apart.
pub(super) fn first(batch: u32, seats: usize) -> usize {
    let spread = batch.wrapping_mul(0x9e37_79b1);
    ((u64::from(spread) * seats as u64) >> 32) as usize
}

/// The runs of packets that lie side by side: first, and how many.
pub(super) fn runs(mut mask: Mask) -> impl Iterator<Item = (usize, usize)> {
    std::iter::from_fn(move || {
        let first = mask.trailing_zeros();
        let ones = mask.checked_shr(first)?.trailing_ones();
        let run = Mask::MAX.checked_shr(Mask::BITS - ones).unwrap_or(0) << first;
        mask &= !run;
        Some((first as usize, ones as usize))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn everybody_hears_all_but_themselves_once_and_in_order(
            seats in 1usize..80,
            batch: u32,
            spoken in prop::collection::vec(prop::option::of(0usize..80), 0..=BATCH),
        ) {
            let spoken: Vec<_> = spoken.iter().map(|seat| seat.filter(|seat| *seat < seats)).collect();
            let mut route = Route::new();
            for (slot, seat) in spoken.iter().enumerate() {
                if let Some(seat) = seat {
                    route.add(slot, *seat);
                }
            }
            let mut heard = vec![Vec::new(); seats];
            for (seat, mask) in route.fan(seats, first(batch, seats)) {
                prop_assert!(heard[seat].is_empty());
                heard[seat] = runs(mask).flat_map(|(first, len)| first..first + len).collect();
            }
            for (seat, heard) in heard.iter().enumerate() {
                let meant = |&(_, by): &(usize, &Option<usize>)| by.is_some_and(|by| by != seat);
                let meant: Vec<_> = spoken.iter().enumerate().filter(meant).map(|(slot, _)| slot).collect();
                prop_assert_eq!(heard, &meant);
            }
        }

        #[test]
        fn runs_cover_a_mask_and_never_touch(mask: Mask) {
            let mut end = 0;
            let mut covered = 0;
            for (first, len) in runs(mask) {
                prop_assert!(len >= 1 && (first > end || covered == 0));
                end = first + len;
                for slot in first..end {
                    covered |= 1 << slot;
                }
            }
            prop_assert_eq!(covered, mask);
        }
    }

    #[test]
    fn everybody_is_first_and_last_as_often_as_others() {
        let (mut firsts, mut lasts) = ([0; 7], [0; 7]);
        for batch in 0..7_000 {
            let mut route = Route::new();
            route.add(0, 7);
            let order: Vec<_> = route
                .fan(7, first(batch, 7))
                .map(|(seat, _)| seat)
                .collect();
            firsts[order[0]] += 1;
            lasts[order[6]] += 1;
        }
        for often in firsts.iter().chain(&lasts) {
            assert!((990..=1010).contains(often), "{often}");
        }
        assert_eq!([0, 1, u32::MAX].map(|batch| first(batch, 0)), [0; 3]);
    }

    #[test]
    fn a_full_mask_is_one_run_and_an_empty_one_is_none() {
        assert_eq!(runs(Mask::MAX).collect::<Vec<_>>(), [(0, BATCH)]);
        assert_eq!(runs(0).count(), 0);
    }
}
