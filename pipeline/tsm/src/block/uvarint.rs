//! Numbers of variable length, as in protobuf: seven bits a byte, the lowest first.

use crate::Fault;

/// Reads a number; returns it and what follows it.
#[inline]
pub(super) fn read(bytes: &[u8]) -> Result<(u64, &[u8]), Fault> {
    match bytes.split_first() {
        // Nearly all: strings and times are short.
        Some((byte, rest)) if *byte < 0x80 => Ok((u64::from(*byte), rest)),
        _ => read_long(bytes),
    }
}

fn read_long(bytes: &[u8]) -> Result<(u64, &[u8]), Fault> {
    let mut number = 0u64;
    let mut rest = bytes;
    for shift in (0u32..=63).step_by(7) {
        let (byte, behind) = rest.split_first().ok_or(Fault("a number in it is cut off"))?;
        let low = u64::from(byte & 0x7f);
        // Ten bytes have room for 70 bits.
        if shift == 63 && low > 1 {
            break;
        }
        number |= low.wrapping_shl(shift);
        rest = behind;
        if byte & 0x80 == 0 {
            return Ok((number, rest));
        }
    }
    Err(Fault("a number in it has more than 64 bits"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_up_to_64_bits_in_up_to_ten_bytes() {
        let largest = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01];
        for (bytes, number) in [
            (&[0][..], 0),
            (&[0x7f], 127),
            (&[0x80, 0x01], 128),
            (&[0x80, 0x00], 0),
            (&[0xac, 0x02, 0x55], 300),
            (&largest, u64::MAX),
        ] {
            assert_eq!(read(bytes).unwrap().0, number, "{bytes:02x?}");
        }
        assert_eq!(read(&[0xac, 0x02, 0x55]).unwrap().1, [0x55]);
        for length in 0..largest.len() {
            assert_eq!(read(&largest[..length]), Err(Fault("a number in it is cut off")));
        }
        let mut too_large = largest;
        too_large[9] = 0x02;
        assert_eq!(read(&too_large), Err(Fault("a number in it has more than 64 bits")));
        too_large[9] = 0x81;
        assert_eq!(read(&too_large), Err(Fault("a number in it has more than 64 bits")));
    }
}
