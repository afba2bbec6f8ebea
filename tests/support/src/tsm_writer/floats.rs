//! How floats are written: what differs from the value before, in a stream of bits.

/// The NaN behind the last value.
const END: u64 = 0x7ff8_0000_0000_0001;

/// Which bits of a value are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Windows {
    /// The last window while it holds all that differs; how many zeros lie before a window is written modulo 32, so the window
    /// is larger than it need be where there are more.
    AsServer,
    /// Always a new one, as narrow as can be.
    Fresh,
    /// All 64 bits, at first in the window that there is before any was written.
    Whole,
}

/// Floats in their encoding.
pub fn floats(values: &[f64], windows: Windows) -> Vec<u8> {
    let mut bits = Bits { bytes: vec![1 << 4], free: 0 };
    let mut before = values.first().map_or(END, |value| value.to_bits());
    bits.push(before, 64);
    let mut window: Option<(u32, u32)> = if windows == Windows::Whole { Some((0, 0)) } else { None };
    let behind = values.iter().skip(1).map(|value| value.to_bits()).chain(values.first().map(|_| END));
    for value in behind {
        let differing = value ^ before;
        before = value;
        if differing == 0 {
            bits.push(0, 1);
            continue;
        }
        let (lead, trail) = match windows {
            Windows::AsServer => (differing.leading_zeros() % 32, differing.trailing_zeros()),
            Windows::Fresh => (differing.leading_zeros().min(31), differing.trailing_zeros()),
            Windows::Whole => (0, 0),
        };
        match window {
            Some((old_lead, old_trail)) if windows != Windows::Fresh && lead >= old_lead && trail >= old_trail => {
                bits.push(0b10, 2);
                bits.push(differing >> old_trail, 64 - old_lead - old_trail);
            }
            _ => {
                let width = 64 - lead - trail;
                bits.push(0b11, 2);
                bits.push(lead.into(), 5);
                bits.push((width % 64).into(), 6);
                bits.push(differing >> trail, width);
                window = Some((lead, trail));
            }
        }
    }
    bits.bytes
}

/// A stream of bits, the highest first.
struct Bits {
    bytes: Vec<u8>,
    /// How many bits of the last byte are not taken.
    free: u32,
}

impl Bits {
    /// Appends the lowest `count` bits of a number.
    fn push(&mut self, number: u64, count: u32) {
        let mut left = count;
        while left > 0 {
            if self.free == 0 {
                self.bytes.push(0);
                self.free = 8;
            }
            let taken = left.min(self.free);
            left -= taken;
            self.free -= taken;
            let bits = number >> left & ((1 << taken) - 1);
            *self.bytes.last_mut().unwrap() |= (bits << self.free) as u8;
        }
    }
}
