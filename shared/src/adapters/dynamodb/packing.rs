//! How texts are made small, since a write is charged by the kilobyte.
//!
//! What is kept is JSON that has much in common with all other JSON of its kind, and base64 of base64: certificates, signed
//! payloads, entries of logs. So base64 is [folded](fold) into the bytes that it stands for, and the result is compressed with
//! zstd and a [dictionary](DICTIONARY) of what such texts have in common.

use std::cell::RefCell;
use std::io::Read as _;
use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zstd::bulk::{Compressor, Decompressor};
use zstd::dict::{DecoderDictionary, EncoderDictionary};

use super::unreachable;
use crate::ports::StoreFault;

/// What texts have in common. Rows name the dictionary that they were compressed with, so that this one is read for as long as
/// there may be such a row: another one is another file beside it. `cargo run -p hekate-tests --bin dictionary` makes one from
/// generated supply chains.
static DICTIONARY: &[u8] = include_bytes!("dictionary-1.zstd");

static ENCODER: LazyLock<EncoderDictionary<'static>> = LazyLock::new(|| EncoderDictionary::copy(DICTIONARY, LEVEL));
static DECODER: LazyLock<DecoderDictionary<'static>> = LazyLock::new(|| DecoderDictionary::copy(DICTIONARY));

/// A unit of writing, a kilobyte, costs as much as 94 milliseconds of a function of 512 MB. Of dossiers and verdicts with attestations
/// level 15 leaves a seventh less than zstd's default, and a twentieth less than 12, in some two milliseconds for each; 19 takes
/// four times as long, and leaves hardly less.
const LEVEL: i32 = 15;

/// Shorter runs of base64 gain nothing.
const SHORTEST: usize = 40;

/// How often base64 is looked for in what base64 stood for: in a bundle there is a certificate in a log's entry, and text in
/// that.
const DEPTH: usize = 3;

/// Up to how many bytes are decompressed at once, without a stream.
const AT_ONCE: usize = 1024 * 1024;

thread_local! {
    // Set up once for each thread, and not for each row.
    static COMPRESSOR: RefCell<Option<Compressor<'static>>> = const { RefCell::new(None) };
    static DECOMPRESSOR: RefCell<Option<Decompressor<'static>>> = const { RefCell::new(None) };
}

/// Makes a text small.
pub(super) fn pack(text: &[u8]) -> Result<Vec<u8>, StoreFault> {
    let folded = folded(text);
    COMPRESSOR.with_borrow_mut(|kept| {
        let compressor = match kept {
            Some(compressor) => compressor,
            None => kept.insert(Compressor::with_prepared_dictionary(&ENCODER).map_err(unreachable)?),
        };
        compressor.compress(&folded).map_err(unreachable)
    })
}

/// The text of exactly `size` bytes that was made small. Memory grows with what comes out, not with what a row claims.
pub(super) fn unpack(data: &[u8], size: usize) -> Option<Vec<u8>> {
    // Rows of schema 1 have no dictionary, and nothing was folded.
    let text = if zstd::zstd_safe::get_dict_id_from_frame(data).is_some() {
        unfold(&decompress(data, longest_fold(size))?, DEPTH, size)?
    } else {
        decompress(data, size)?
    };
    (text.len() == size).then_some(text)
}

/// Decompresses to at most `limit` bytes.
fn decompress(data: &[u8], limit: usize) -> Option<Vec<u8>> {
    if limit <= AT_ONCE {
        return DECOMPRESSOR.with_borrow_mut(|kept| {
            let decompressor = match kept {
                Some(decompressor) => decompressor,
                None => kept.insert(Decompressor::with_prepared_dictionary(&DECODER).ok()?),
            };
            // A capacity of zero is refused even where nothing comes out.
            decompressor.decompress(data, limit.max(1)).ok()
        });
    }
    let mut bytes = Vec::new();
    zstd::Decoder::with_prepared_dictionary(data, &DECODER)
        .ok()?
        .take(u64::try_from(limit).ok()?.checked_add(1)?)
        .read_to_end(&mut bytes)
        .ok()?;
    (bytes.len() <= limit).then_some(bytes)
}

/// A text as it is before it is compressed, for what makes dictionaries.
pub fn folded(text: &[u8]) -> Vec<u8> {
    fold(text, DEPTH)
}

/// Writes the bytes that base64 stands for in its place, as long as that can be undone: alternately what is left as it is and
/// what was base64, itself folded, each after its length.
fn fold(text: &[u8], depth: usize) -> Vec<u8> {
    let mut folded = Vec::with_capacity(text.len());
    let mut kept_from = 0;
    if depth > 0 {
        for (from, to) in runs(text) {
            let Some(run) = text.get(from..to) else { continue };
            let Ok(bytes) = STANDARD.decode(run) else { continue };
            // The decoder takes nothing that the encoder would spell otherwise. Should it ever, nothing is lost.
            if STANDARD.encode(&bytes).as_bytes() != run {
                continue;
            }
            put(&mut folded, text.get(kept_from..from).unwrap_or_default());
            put(&mut folded, &fold(&bytes, depth - 1));
            kept_from = to;
        }
    }
    put(&mut folded, text.get(kept_from..).unwrap_or_default());
    folded
}

/// The most bytes that a text of so many is folded to: two lengths for each run, which gives up a quarter of its own.
fn longest_fold(size: usize) -> usize {
    size.saturating_add(20)
}

/// Undoes [`fold`]; `None` if that is not what made it, or more than `limit` bytes come out.
fn unfold(mut folded: &[u8], depth: usize, limit: usize) -> Option<Vec<u8>> {
    let mut text = Vec::new();
    loop {
        text.extend_from_slice(take(&mut folded)?);
        if folded.is_empty() {
            return (text.len() <= limit).then_some(text);
        }
        let bytes = unfold(take(&mut folded)?, depth.checked_sub(1)?, limit)?;
        text.extend_from_slice(STANDARD.encode(&bytes).as_bytes());
        if text.len() > limit {
            return None;
        }
    }
}

/// Appends bytes after their length, in groups of seven bits, the lowest first.
fn put(to: &mut Vec<u8>, bytes: &[u8]) {
    let mut left = bytes.len();
    while left >= 0x80 {
        to.push(0x80 | u8::try_from(left & 0x7f).unwrap_or_default());
        left >>= 7;
    }
    to.push(u8::try_from(left).unwrap_or_default());
    to.extend_from_slice(bytes);
}

/// Takes what [`put`] appended.
fn take<'a>(from: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (mut length, mut shift) = (0_usize, 0_u32);
    loop {
        let (first, rest) = from.split_first()?;
        *from = rest;
        length |= usize::from(first & 0x7f).checked_shl(shift)?;
        if first & 0x80 == 0 {
            break;
        }
        shift += 7;
    }
    let (taken, rest) = from.split_at_checked(length)?;
    *from = rest;
    Some(taken)
}

/// Where something stands that looks like base64 and not like a word, a path or a hexadecimal number.
fn runs(text: &[u8]) -> Vec<(usize, usize)> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(byte) = text.get(at) {
        if !is_base64(*byte) {
            // The letter after a backslash is part of an escape: lines of PEM in JSON end with one.
            at += if *byte == b'\\' { 2 } else { 1 };
            continue;
        }
        let rest = text.get(at..).unwrap_or_default();
        let length = rest.iter().take_while(|byte| is_base64(**byte)).count();
        let padding = rest
            .iter()
            .skip(length)
            .take(2)
            .take_while(|byte| **byte == b'=')
            .count();
        let run = rest.get(..length).unwrap_or_default();
        let end = at + length + padding;
        let has = |is: fn(&u8) -> bool| run.iter().any(is);
        let is_mixed = has(u8::is_ascii_uppercase) && has(u8::is_ascii_lowercase) && has(u8::is_ascii_digit);
        if end - at >= SHORTEST && (end - at).is_multiple_of(4) && is_mixed {
            found.push((at, end));
        }
        at = end;
    }
    found
}

fn is_base64(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assert_folds(text: &[u8]) -> Vec<u8> {
        let folded = fold(text, DEPTH);
        assert!(
            folded.len() <= longest_fold(text.len()),
            "{} of {}",
            folded.len(),
            text.len()
        );
        assert!(unfold(&folded, DEPTH, text.len()).as_deref() == Some(text));
        let packed = pack(text).unwrap();
        assert!(unpack(&packed, text.len()).as_deref() == Some(text));
        folded
    }

    fn noise(length: usize) -> Vec<u8> {
        crate::adapters::conformance::noise(length)
    }

    #[test]
    fn base64_of_base64_is_folded_to_what_it_stands_for() {
        let inner = STANDARD.encode(noise(300));
        let pem = format!("-----BEGIN\\n{}\\n{}==\\n", &inner[..64], &inner[64..126]);
        let outer = STANDARD.encode(format!("{{\"cert\":\"{inner}\"}} and {pem}"));
        let text = format!("{{\"payload\":\"{outer}\",\"sha\":\"{}\"}}", hex::encode(noise(64)));
        let folded = assert_folds(text.as_bytes());
        let holds = |bytes: &[u8]| folded.windows(bytes.len()).any(|window| window == bytes);
        assert!(holds(&noise(300)), "the inner one is bytes");
        assert!(holds(hex::encode(noise(64)).as_bytes()), "hexadecimal digits stay");
    }

    #[test]
    fn what_only_looks_like_base64_comes_back_as_it_was() {
        let long = "Aa0/".repeat(40);
        for text in [
            String::new(),
            "=".to_owned(),
            long.clone(),
            format!("{long}="),
            format!("{long}==="),
            // The last digit has bits that stand for nothing.
            format!("{long}Aa0="),
            format!("{long}Aa1="),
            format!("{long}A=a="),
            format!("\\{long}"),
            format!("\\n{long}\\"),
            STANDARD.encode(STANDARD.encode(STANDARD.encode(STANDARD.encode(noise(100))))),
        ] {
            assert_folds(text.as_bytes());
        }
        assert_folds(&noise(100_000));
        assert_folds("Aa0/".repeat(300_000).as_bytes());
        for length in [38, 39, 40, 41, 42, 43, 44, 126, 127, 128, 129, 16_383, 16_384] {
            assert_folds(STANDARD.encode(noise(length)).as_bytes());
        }
    }

    #[test]
    fn mixtures_of_everything_come_back_as_they_were() {
        let mut random = fastrand::Rng::with_seed(7);
        for _ in 0..2_000 {
            let mut text = Vec::new();
            for _ in 0..random.usize(..8) {
                match random.u8(..5) {
                    0 => text.extend((0..random.usize(..200)).map(|_| random.u8(..))),
                    1 => text.extend(STANDARD.encode(&text).into_bytes()),
                    2 => text.extend(STANDARD.encode(noise(random.usize(..200))).bytes()),
                    3 => text.extend([b"\\", b"n", b"=", b"A"][random.usize(..4)]),
                    _ => text.extend(STANDARD.encode(hex::encode(noise(random.usize(..99)))).bytes()),
                }
            }
            assert_folds(&text);
        }
    }

    #[test]
    fn data_longer_or_shorter_than_its_row_says_is_refused() {
        let data = pack(b"hekate").unwrap();
        assert_eq!(unpack(&data, 6).as_deref(), Some(&b"hekate"[..]));
        assert_eq!(unpack(&data, 5), None);
        assert_eq!(unpack(&data, 7), None);
        assert_eq!(unpack(b"not zstd", 8), None);
        let long = noise(2 * AT_ONCE);
        let data = pack(&long).unwrap();
        assert!(unpack(&data, long.len()).as_deref() == Some(&long[..]));
        assert_eq!(unpack(&data, long.len() - 1), None);
    }

    #[test]
    fn what_was_never_folded_is_refused() {
        for folded in [
            &b""[..],
            b"\x80",
            b"\x05four",
            b"\x00\x00",
            b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
            // Deeper than anything is folded.
            b"\x00\x07\x00\x05\x00\x03\x00\x01\x00",
        ] {
            assert_eq!(unfold(folded, DEPTH, 1_000), None, "{folded:?}");
        }
        // More than was asked for, by little and by much.
        let folded = fold(STANDARD.encode(noise(100)).as_bytes(), DEPTH);
        assert_eq!(unfold(&folded, DEPTH, 135), None);
        assert_eq!(unfold(&folded, DEPTH, 10), None);
    }

    #[test]
    fn rows_of_schema_1_are_read_as_they_were_written() {
        let text = format!("{{\"payload\":\"{}\"}}", STANDARD.encode(noise(200)));
        let data = zstd::bulk::compress(text.as_bytes(), LEVEL).unwrap();
        assert_eq!(unpack(&data, text.len()).as_deref(), Some(text.as_bytes()));
        assert_eq!(unpack(&data, text.len() - 1), None);
    }
}
