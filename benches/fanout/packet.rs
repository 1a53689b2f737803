//! What members say here: who, which, when, and a pattern that every byte of it decides.

pub(crate) const PACKET: usize = 512;
const HEAD: usize = 40;

/// A packet's head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Word {
    /// The speaker's uid, which is all that a relay looks at.
    pub(crate) uid: u64,
    /// The round that it belongs to.
    pub(crate) run: u64,
    /// The speaker's place among the members.
    pub(crate) talker: u64,
    /// From 0, without gaps.
    pub(crate) sequence: u64,
    /// When it was sent, in nanoseconds of Unix time.
    pub(crate) sent: u64,
}

impl Word {
    fn fields(&self) -> [u64; 5] {
        [self.uid, self.run, self.talker, self.sequence, self.sent]
    }

    fn pattern(&self) -> impl Iterator<Item = u64> {
        let seed = self
            .fields()
            .into_iter()
            .fold(0, |seed, field| mix(seed ^ field));
        (1_u64..).map(move |at| seed.wrapping_add(at.wrapping_mul(0x9e37_79b9_7f4a_7c15)))
    }

    pub(crate) fn write(&self, packet: &mut [u8; PACKET]) {
        let (head, rest) = packet.split_at_mut(HEAD);
        for (place, field) in head.chunks_exact_mut(8).zip(self.fields()) {
            place.copy_from_slice(&field.to_le_bytes());
        }
        for (place, word) in rest.chunks_exact_mut(8).zip(self.pattern()) {
            place.copy_from_slice(&word.to_le_bytes());
        }
    }

    /// `None` when a bit of it is not as it was written.
    pub(crate) fn read(packet: &[u8]) -> Option<Self> {
        let packet: &[u8; PACKET] = packet.try_into().ok()?;
        let number = |at: usize| {
            let bytes = packet[at * 8..][..8].try_into();
            u64::from_le_bytes(bytes.expect("8 bytes"))
        };
        let word = Self {
            uid: number(0),
            run: number(1),
            talker: number(2),
            sequence: number(3),
            sent: number(4),
        };
        let differences = (HEAD / 8..PACKET / 8)
            .zip(word.pattern())
            .fold(0, |all, (at, expected)| all | (number(at) ^ expected));
        (differences == 0).then_some(word)
    }
}

/// Scatters a number's bits (splitmix64).
pub(crate) fn mix(number: u64) -> u64 {
    let number = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let number = (number ^ number >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ number >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ number >> 31
}
