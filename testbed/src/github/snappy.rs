//! Snappy, as far as storing needs it: without compressing anything.

/// The most that one element or chunk holds: the format's blocks are of 64 KiB.
const BLOCK: usize = 1 << 16;

/// Snappy's block format, of literals alone (`format_description.txt`, 1 and 2.1).
pub(super) fn raw(bytes: &[u8]) -> Vec<u8> {
    let mut block = Vec::new();
    let mut length = bytes.len();
    while length >= 0x80 {
        block.push(low_byte(length) | 0x80);
        length >>= 7;
    }
    block.push(low_byte(length));
    for literal in bytes.chunks(BLOCK) {
        // Tag 61: a literal whose length, less one, follows in two bytes.
        let less_one = literal.len() - 1;
        block.extend([61 << 2, low_byte(less_one), low_byte(less_one >> 8)]);
        block.extend(literal);
    }
    block
}

/// Snappy's framing format, of uncompressed chunks alone (`framing_format.txt`, 4.1 and 4.3).
pub(super) fn framed(bytes: &[u8]) -> Vec<u8> {
    let mut stream = b"\xff\x06\x00\x00sNaPpY".to_vec();
    for data in bytes.chunks(BLOCK) {
        let length = data.len() + 4;
        stream.extend([0x01, low_byte(length), low_byte(length >> 8), low_byte(length >> 16)]);
        stream.extend(masked(crc32c(data)).to_le_bytes());
        stream.extend(data);
    }
    stream
}

/// The lowest eight bits.
fn low_byte(number: usize) -> u8 {
    number.to_le_bytes()[0]
}

/// The masking of checksums (`framing_format.txt`, 3).
fn masked(checksum: u32) -> u32 {
    checksum.rotate_right(15).wrapping_add(0xa282_ead8)
}

/// CRC-32C (RFC 3720, appendix B.4), bit by bit.
fn crc32c(bytes: &[u8]) -> u32 {
    let mut checksum = u32::MAX;
    for byte in bytes {
        checksum ^= u32::from(*byte);
        for _ in 0..8 {
            let carry = checksum & 1;
            checksum = (checksum >> 1) ^ (carry * 0x82f6_3b78);
        }
    }
    !checksum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_of_the_digits_is_that_of_the_catalogue() {
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
    }

    #[test]
    fn a_raw_block_announces_its_length_and_then_its_literal() {
        let bytes = [7; 300];
        let block = raw(&bytes);
        assert_eq!(block.split_at(5).0, [0xac, 0x02, 61 << 2, 0x2b, 0x01]);
        assert_eq!(block.split_at(5).1, bytes);
    }

    #[test]
    fn a_framed_stream_begins_with_its_identifier() {
        let stream = framed(b"abc");
        assert_eq!(stream.split_at(10).0, b"\xff\x06\x00\x00sNaPpY");
        assert_eq!(stream.split_at(14).0.split_at(10).1, [0x01, 7, 0, 0]);
        assert!(stream.ends_with(b"abc"));
    }
}
