//! Archives, made the same way every time: gzip-compressed tar and zip.

use flate2::{Compression, Crc, GzBuilder, write::DeflateEncoder};
use std::io::Write as _;

/// The time of every file of a zip archive: its format begins in 1980.
const ZIP_DATE: u16 = 1 << 5 | 1;
/// The version of the zip format that is needed to read one: 2.0, for compression.
const ZIP_VERSION: u16 = 20;
/// Compressed.
const ZIP_DEFLATED: u16 = 8;

/// A gzip-compressed tar archive of files with that modification time, in seconds.
///
/// Two calls with the same files give the same bytes.
///
/// # Panics
///
/// Never: writing to memory does not fail.
#[expect(clippy::expect_used, reason = "writing to memory does not fail")]
pub(crate) fn tar_gz(files: &[(String, String)], modified: u64) -> Vec<u8> {
    let mut archive = tar::Builder::new(Vec::new());
    for (path, content) in files {
        let mut header = tar::Header::new_ustar();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        header.set_mtime(modified);
        header.set_entry_type(tar::EntryType::Regular);
        archive
            .append_data(&mut header, path, content.as_bytes())
            .expect("a file is added in memory");
    }
    let archive = archive.into_inner().expect("an archive is finished in memory");
    let mut compressed = GzBuilder::new()
        .mtime(0)
        .operating_system(0xff)
        .write(Vec::new(), Compression::fast());
    compressed.write_all(&archive).expect("memory takes all bytes");
    compressed.finish().expect("a stream is finished in memory")
}

/// A zip archive (PKWARE's APPNOTE.TXT, 4.3).
pub(crate) fn zip(files: &[(String, String)]) -> Vec<u8> {
    let mut archive = Vec::new();
    let mut directory = Vec::new();
    for (path, content) in files {
        let offset = archive.len();
        let compressed = deflate(content.as_bytes());
        let mut checksum = Crc::new();
        checksum.update(content.as_bytes());
        // What the local header and the directory have in common: from the version to the length of the extra field.
        let mut common = Vec::new();
        for number in [ZIP_VERSION, 0, ZIP_DEFLATED, 0, ZIP_DATE] {
            common.extend(number.to_le_bytes());
        }
        for number in [checksum.sum(), long(compressed.len()), long(content.len())] {
            common.extend(number.to_le_bytes());
        }
        common.extend(short(path.len()).to_le_bytes());
        common.extend([0, 0]);
        archive.extend(b"PK\x03\x04");
        archive.extend(&common);
        archive.extend(path.as_bytes());
        archive.extend(compressed);
        directory.extend(b"PK\x01\x02");
        // Made on Unix.
        directory.extend([20, 3]);
        directory.extend(&common);
        // No comment, the first disk, no internal attributes; a regular file that everybody reads.
        directory.extend([0; 6]);
        directory.extend((0o100_644_u32 << 16).to_le_bytes());
        directory.extend(long(offset).to_le_bytes());
        directory.extend(path.as_bytes());
    }
    let begin = archive.len();
    archive.extend(&directory);
    archive.extend(b"PK\x05\x06\0\0\0\0");
    archive.extend(short(files.len()).to_le_bytes());
    archive.extend(short(files.len()).to_le_bytes());
    archive.extend(long(directory.len()).to_le_bytes());
    archive.extend(long(begin).to_le_bytes());
    archive.extend([0, 0]);
    archive
}

/// Changes exactly one byte, and leaves a valid archive with the same content: of gzip the header's operating system,
/// unknown before, which becomes Unix (RFC 1952, 2.3.1); of zip the time in the first file's local header.
pub(crate) fn swap_one_byte(archive: &mut [u8]) {
    let (position, mask) = if archive.starts_with(b"PK") {
        (10, 0x01)
    } else {
        (9, 0xff ^ 0x03)
    };
    if let Some(byte) = archive.get_mut(position) {
        *byte ^= mask;
    }
}

#[expect(clippy::expect_used, reason = "writing to memory does not fail")]
fn deflate(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).expect("memory takes all bytes");
    encoder.finish().expect("a stream is finished in memory")
}

/// A length in four bytes; generated files are far shorter.
fn long(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

/// A length in two bytes; so are generated names.
fn short(length: usize) -> u16 {
    u16::try_from(length).unwrap_or(u16::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files() -> Vec<(String, String)> {
        vec![
            ("folder/a.txt".to_owned(), "a".repeat(300)),
            ("b".to_owned(), String::new()),
        ]
    }

    #[test]
    fn the_same_files_give_the_same_bytes() {
        assert_eq!(tar_gz(&files(), 1), tar_gz(&files(), 1));
        assert_eq!(zip(&files()), zip(&files()));
    }

    #[test]
    fn a_zip_archive_ends_with_a_directory_of_its_files() {
        let archive = zip(&files());
        let (_, end) = archive.split_at(archive.len() - 22);
        assert!(end.starts_with(b"PK\x05\x06"));
        assert_eq!(end.split_at(10).1.split_at(2).0, [2, 0]);
        let count = |mark: &[u8]| archive.windows(4).filter(|window| *window == mark).count();
        assert_eq!((count(b"PK\x03\x04"), count(b"PK\x01\x02")), (2, 2));
    }

    #[test]
    fn exactly_one_byte_is_swapped() {
        for honest in [tar_gz(&files(), 1), zip(&files())] {
            let mut swapped = honest.clone();
            swap_one_byte(&mut swapped);
            let differing = honest.iter().zip(&swapped).filter(|(left, right)| left != right);
            assert_eq!(differing.count(), 1);
        }
    }
}
