//! Finds the core metadata in a Python distribution as installers would.
//!
//! A source distribution is a gzipped tar archive and is read like every other. A wheel is a zip archive, which has two lists
//! of its members: one at the end, by which installers unpack it, and a header before each member, by which others may. An
//! archive in which the two, or two readers of one, find different metadata is a known way to hide one, and PyPI has refused
//! such uploads since August 2025
//! (<https://blog.pypi.org/posts/2025-08-07-wheel-archive-confusion-attacks/>). So the list at the end is followed, and where
//! anything contradicts it the metadata is unreadable, with the reason.

use std::collections::BTreeSet;
use std::io::{self, BufRead, Read};

use flate2::read::DeflateDecoder;
use rawzip::{CompressionMethod, ZipArchive, ZipFileHeaderRecord, ZipSliceArchive};
use thiserror::Error;

use super::npm_manifest::{MANIFEST_LIMIT, Wanted, read_member};
use crate::dossier::{ArchiveMember, Body};

/// The largest zip archive that is looked into, in bytes: it is held in memory.
pub(super) const ZIP_LIMIT: u64 = 64 << 20;
/// What the record at the end of a zip archive begins with (APPNOTE.TXT, 4.3.16).
const END_RECORD: &[u8] = b"PK\x05\x06";

/// `PKG-INFO` in the top folder of a source distribution (PEP 625, "Source distribution file format").
const PKG_INFO: Wanted = Wanted {
    name: "PKG-INFO",
    is_it: is_pkg_info,
    may_be_it: may_be_pkg_info,
};

/// Why the metadata of a zip archive is not known.
#[derive(Debug, Error)]
enum Unreadable {
    #[error("the archive cannot be read: {0}")]
    Stream(#[from] io::Error),
    #[error("the archive is larger than {0} bytes, and was not looked into")]
    Archive(u64),
    #[error("the archive is no complete zip archive: {0}")]
    Zip(#[from] rawzip::Error),
    #[error("the archive's metadata is larger than {0} bytes")]
    Metadata(u64),
    #[error("the archive's metadata is {0}")]
    Packing(&'static str),
    #[error("programs that unpack the archive disagree about {0}")]
    Disputed(&'static str),
    #[error("the archive holds several files that unpack to its metadata")]
    Several,
}

/// Reads the core metadata out of a distribution, whichever of the two kinds of archive it is. `Missing` if there is none,
/// as in an egg or an installer.
pub fn read_core_metadata(mut archive: impl BufRead) -> ArchiveMember {
    // A zip archive that begins with something else than a member is no wheel of anybody.
    match archive.fill_buf() {
        Ok([b'P', ..]) => {}
        Ok(_) | Err(_) => return read_member(archive, &PKG_INFO),
    }
    match read_zip(archive, ZIP_LIMIT) {
        Ok(Some(member)) => member,
        Ok(None) => ArchiveMember::Missing,
        Err(unreadable) => ArchiveMember::Unreadable {
            detail: unreadable.to_string(),
        },
    }
}

fn read_zip(archive: impl BufRead, limit: u64) -> Result<Option<ArchiveMember>, Unreadable> {
    let mut bytes = Vec::new();
    archive.take(limit.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > limit {
        return Err(Unreadable::Archive(limit));
    }
    if !bytes.starts_with(b"PK") {
        return Ok(Some(ArchiveMember::NotAnArchive));
    }
    let body = find(&ZipArchive::from_slice(bytes.as_slice())?, bytes.len())?.map(Body);
    Ok(body.map(|body| ArchiveMember::Found { body }))
}

/// The metadata by the list at the end of the archive.
fn find(archive: &ZipSliceArchive<&[u8]>, length: usize) -> Result<Option<Vec<u8>>, Unreadable> {
    // 1. The archive ends where it says, and nothing in its comment could be taken for its end.
    let comment = archive.comment();
    let has_another_end = comment
        .as_bytes()
        .windows(END_RECORD.len())
        .any(|window| window == END_RECORD);
    if archive.end_offset() != length as u64 || has_another_end {
        return Err(Unreadable::Disputed("where it ends"));
    }
    // 2. Every member of the list, each once.
    let mut count = 0_u64;
    let mut begins_at = u64::MAX;
    let mut folders: BTreeSet<String> = BTreeSet::new();
    let mut metadata: Vec<(Place, ZipFileHeaderRecord<'_>)> = Vec::new();
    for record in archive.entries() {
        let record = record?;
        count += 1;
        begins_at = begins_at.min(record.local_header_offset());
        let path = String::from_utf8_lossy(record.file_path().as_bytes()).into_owned();
        if let [folder, _, ..] = parts(&path).as_slice()
            && has_ending(folder, ".dist-info")
        {
            folders.insert((*folder).to_owned());
        }
        match place_of(&path) {
            Place::Elsewhere => {}
            place @ (Place::Wheel | Place::SourceDistribution | Place::Disputed) => metadata.push((place, record)),
        }
    }
    if count != archive.entries_hint() {
        return Err(Unreadable::Disputed("how many members it has"));
    }
    if count > 0 && begins_at != 0 {
        return Err(Unreadable::Disputed("where it begins"));
    }
    // 3. One of them is the metadata: of a wheel, or else of a source distribution. An installer refuses two folders.
    if folders.len() > 1 {
        return Err(Unreadable::Disputed("which folder has its metadata"));
    }
    let is_wheel = !folders.is_empty();
    metadata.retain(|(place, _)| *place != Place::SourceDistribution || !is_wheel);
    match metadata.as_slice() {
        [] => Ok(None),
        [(Place::Wheel | Place::SourceDistribution, record)] => unpack(archive, record).map(Some),
        [_one] => Err(Unreadable::Disputed("the name of its metadata")),
        [_, _, ..] => Err(Unreadable::Several),
    }
}

/// Where a member of a zip archive is, as far as it concerns the metadata.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// `METADATA` in a `.dist-info` folder at the top.
    Wheel,
    /// `PKG-INFO` in a folder at the top.
    SourceDistribution,
    /// Where some installer or file system would put it in the place of a wheel's metadata: with another case or other
    /// separators, or out of the folder `.data`, whose contents are spread over the place of installation.
    Disputed,
    /// Anywhere else.
    Elsewhere,
}

fn place_of(path: &str) -> Place {
    match path.split('/').collect::<Vec<_>>().as_slice() {
        [folder, "METADATA"] if folder.ends_with(".dist-info") => return Place::Wheel,
        [folder, "PKG-INFO"] if !matches!(*folder, "" | "." | "..") => return Place::SourceDistribution,
        _ => {}
    }
    let seen = fold(path);
    let parts = parts(&seen);
    let is_spread = parts.first().is_some_and(|first| has_ending(first, ".data"));
    match parts.as_slice() {
        [before @ .., folder, last]
            if has_ending(folder, ".dist-info")
                && bare(last) == "metadata"
                && (is_spread || before.is_empty() || parts.contains(&"..")) =>
        {
            Place::Disputed
        }
        _ => Place::Elsewhere,
    }
}

/// The steps of a path that lead anywhere.
fn parts(path: &str) -> Vec<&str> {
    path.split('/')
        .filter(|part| !part.is_empty() && *part != ".")
        .collect()
}

/// A path as a file system without case, and with the other separator, would see it.
fn fold(path: &str) -> String {
    // Upper case first: it also folds the long s, and lower case then folds the Kelvin sign.
    path.replace('\\', "/").to_uppercase().to_lowercase()
}

/// A step of a path as Windows would see it.
fn bare(part: &str) -> &str {
    part.trim_end_matches(['.', ' '])
}

fn has_ending(folder: &str, ending: &str) -> bool {
    bare(folder).to_lowercase().ends_with(ending)
}

/// Unpacks a member, whose own header has to say the same as the list.
fn unpack(archive: &ZipSliceArchive<&[u8]>, record: &ZipFileHeaderRecord<'_>) -> Result<Vec<u8>, Unreadable> {
    if record.uncompressed_size_hint() > MANIFEST_LIMIT {
        return Err(Unreadable::Metadata(MANIFEST_LIMIT));
    }
    let entry = archive.get_entry(record.wayfinder())?;
    let local = entry.local_header();
    if record.flags().is_encrypted() || local.flags().is_encrypted() {
        return Err(Unreadable::Packing("encrypted"));
    }
    let sizes = [
        (local.compressed_size_hint(), record.compressed_size_hint()),
        (local.uncompressed_size_hint(), record.uncompressed_size_hint()),
        (u64::from(local.crc32()), u64::from(record.crc32())),
    ];
    // A header that was written before its member was packed has zeros, and what is right comes behind the member.
    let comes_behind = entry.data_descriptor()?;
    let agrees = local.file_path().as_bytes() == record.file_path().as_bytes()
        && local.compression_method() == record.compression_method()
        && match &comes_behind {
            None => sizes.iter().all(|(local, listed)| local == listed),
            Some(behind) => {
                sizes.iter().all(|(local, listed)| local == listed || *local == 0)
                    && behind.compressed_size() == record.compressed_size_hint()
                    && behind.uncompressed_size() == record.uncompressed_size_hint()
                    && behind.crc32() == record.crc32()
            }
        };
    if !agrees {
        return Err(Unreadable::Disputed("what a header of its metadata says"));
    }
    let unpacked: Box<dyn Read + '_> = match record.compression_method() {
        CompressionMethod::STORE => Box::new(entry.data()),
        CompressionMethod::DEFLATE => Box::new(DeflateDecoder::new(entry.data())),
        _ => return Err(Unreadable::Packing("packed in a way that installers do not know")),
    };
    let mut bytes = Vec::new();
    // The limit has one byte more than the size that is checked at the end, so that a longer member is noticed.
    let limit = record.uncompressed_size_hint().saturating_add(1);
    entry.verifying_reader(unpacked.take(limit)).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Whether everybody unpacks this entry to the core metadata of a source distribution.
fn is_pkg_info(path: &str) -> bool {
    matches!(parts(path).as_slice(), [top, "PKG-INFO"] if *top != "..") && !path.starts_with('/')
}

/// Whether some reader or file system would: from an absolute path, with other separators or another case, without a top
/// folder, or by a way up and down.
fn may_be_pkg_info(path: &str) -> bool {
    let folded = fold(path);
    match parts(&folded).as_slice() {
        [last] | [_, last] => bare(last) == "pkg-info",
        [between @ .., last] => bare(last) == "pkg-info" && between.contains(&".."),
        [] => false,
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use flate2::Compression;
    use flate2::write::{DeflateEncoder, GzEncoder};
    use proptest::prelude::*;
    use rawzip::ZipArchiveWriter;

    use super::*;

    const METADATA: &[u8] = b"Metadata-Version: 2.4\nName: foo\nVersion: 1.0\n";
    const WHEEL: &str = "foo-1.0.dist-info/METADATA";

    fn zip(members: &[(&str, &[u8])]) -> Vec<u8> {
        zip_packed(members, CompressionMethod::DEFLATE)
    }

    fn zip_packed(members: &[(&str, &[u8])], method: CompressionMethod) -> Vec<u8> {
        let mut archive = ZipArchiveWriter::new(Vec::new());
        for (path, body) in members {
            let (mut entry, config) = archive.new_file(path).compression_method(method).start().unwrap();
            if method == CompressionMethod::DEFLATE {
                let encoder = DeflateEncoder::new(&mut entry, Compression::fast());
                let mut writer = config.wrap(encoder);
                writer.write_all(body).unwrap();
                let (encoder, descriptor) = writer.finish().unwrap();
                encoder.finish().unwrap();
                entry.finish(descriptor).unwrap();
            } else {
                let mut writer = config.wrap(&mut entry);
                writer.write_all(body).unwrap();
                let (_entry, descriptor) = writer.finish().unwrap();
                entry.finish(descriptor).unwrap();
            }
        }
        archive.finish().unwrap()
    }

    fn tar(members: &[(&str, &[u8])]) -> Vec<u8> {
        let mut builder = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
        for (path, body) in members {
            let mut header = tar::Header::new_ustar();
            header.as_old_mut().name[..path.len()].copy_from_slice(path.as_bytes());
            header.set_size(body.len() as u64);
            header.set_mode(0o644);
            header.set_cksum();
            builder.append(&header, *body).unwrap();
        }
        builder.into_inner().unwrap().finish().unwrap()
    }

    fn read(bytes: &[u8]) -> ArchiveMember {
        read_core_metadata(bytes)
    }

    fn found(body: &[u8]) -> ArchiveMember {
        ArchiveMember::Found {
            body: Body(body.to_vec()),
        }
    }

    fn why(bytes: &[u8]) -> String {
        match read(bytes) {
            ArchiveMember::Unreadable { detail } => detail,
            other @ (ArchiveMember::Found { .. } | ArchiveMember::Missing | ArchiveMember::NotAnArchive) => {
                panic!("{other:?}")
            }
        }
    }

    /// Replaces every occurrence of a text by another of the same length, from the `first` occurrence on, `count` of them.
    fn replaced(bytes: &[u8], from: &str, to: &str, first: usize, count: usize) -> Vec<u8> {
        assert_eq!(from.len(), to.len());
        let places: Vec<usize> = bytes
            .windows(from.len())
            .enumerate()
            .filter(|(_, window)| *window == from.as_bytes())
            .map(|(at, _)| at)
            .collect();
        assert!(places.len() >= first + count, "{from} occurs {} times", places.len());
        let mut changed = bytes.to_vec();
        for at in &places[first..first + count] {
            changed[*at..*at + to.len()].copy_from_slice(to.as_bytes());
        }
        changed
    }

    #[test]
    fn the_metadata_of_a_wheel_is_found() {
        let members: &[(&str, &[u8])] = &[
            ("foo/__init__.py", b"x = 1\n"),
            ("foo/vendored/bar-2.0.dist-info/METADATA", b"Name: bar"),
            ("foo/PKG-INFO", b"Name: baz"),
            (WHEEL, METADATA),
            ("foo-1.0.dist-info/RECORD", b""),
        ];
        assert_eq!(read(&zip(members)), found(METADATA));
        assert_eq!(read(&zip_packed(members, CompressionMethod::STORE)), found(METADATA));
    }

    #[test]
    fn the_metadata_of_a_source_distribution_is_found() {
        let members: &[(&str, &[u8])] = &[
            ("foo-1.0/setup.py", b""),
            ("foo-1.0/foo.egg-info/PKG-INFO", b"Name: bar"),
            ("foo-1.0/PKG-INFO", METADATA),
        ];
        assert_eq!(read(&tar(members)), found(METADATA));
        assert_eq!(read(&zip(members)), found(METADATA));
        assert_eq!(read(&tar(&[("./foo-1.0/PKG-INFO", METADATA)])), found(METADATA));
    }

    #[test]
    fn an_archive_without_metadata_has_none() {
        assert_eq!(read(&zip(&[("foo/__init__.py", b"")])), ArchiveMember::Missing);
        assert_eq!(read(&zip(&[("EGG-INFO", METADATA)])), ArchiveMember::Missing);
        assert_eq!(read(&tar(&[("foo-1.0/setup.py", b"")])), ArchiveMember::Missing);
        assert_eq!(read(&zip(&[])), ArchiveMember::Missing);
    }

    #[test]
    fn what_is_no_archive_is_told_from_one_that_is_broken() {
        for bytes in [&b"<html></html>"[..], b"Please wait", b"%PDF"] {
            assert_eq!(read(bytes), ArchiveMember::NotAnArchive);
        }
        assert!(matches!(read(b"PK"), ArchiveMember::Unreadable { .. }));
    }

    #[test]
    fn a_wheel_that_is_cut_anywhere_is_unreadable() {
        let whole = zip(&[("foo.py", b"x"), (WHEEL, METADATA)]);
        for end in 2..whole.len() {
            assert!(
                matches!(read(&whole[..end]), ArchiveMember::Unreadable { .. }),
                "cut at {end}"
            );
        }
    }

    #[test]
    fn a_source_distribution_that_is_cut_is_unreadable() {
        let whole = tar(&[("foo-1.0/PKG-INFO", METADATA)]);
        assert!(matches!(
            read(&whole[..whole.len() / 2]),
            ArchiveMember::Unreadable { .. }
        ));
    }

    #[test]
    fn several_metadata_are_none() {
        let other = b"Name: bar";
        assert!(why(&zip(&[(WHEEL, METADATA), (WHEEL, other)])).contains("several"));
        assert!(why(&zip(&[(WHEEL, METADATA), (WHEEL, METADATA)])).contains("several"));
        let folders = [(WHEEL, METADATA), ("bar-1.0.dist-info/METADATA", &other[..])];
        assert!(why(&zip(&folders)).contains("which folder"));
        let folders = [(WHEEL, METADATA), ("bar-1.0.dist-info/RECORD", &other[..])];
        assert!(why(&zip(&folders)).contains("which folder"));
        let tops = [("foo-1.0/PKG-INFO", METADATA), ("bar-1.0/PKG-INFO", &other[..])];
        assert!(why(&tar(&tops)).contains("several"));
        assert!(why(&zip(&tops)).contains("several"));
    }

    #[test]
    fn what_some_file_system_takes_for_the_metadata_is_disputed() {
        for path in [
            "foo-1.0.dist-info/metadata",
            "foo-1.0.DIST-INFO/METADATA",
            "foo-1.0.dist-info\\METADATA",
            "./foo-1.0.dist-info/METADATA",
            "/foo-1.0.dist-info/METADATA",
            "foo-1.0.dist-info//METADATA",
            "foo-1.0.dist-info/METADATA.",
            "foo/../foo-1.0.dist-info/METADATA",
            "../foo-1.0.dist-info/METADATA",
            "foo-1.0.data/purelib/foo-1.0.dist-info/METADATA",
            "foo-1.0.data/data/lib/python3.13/site-packages/foo-1.0.dist-info/METADATA",
        ] {
            // The writer of zip archives writes no such names, so they take the places of others.
            let plain = "q".repeat(path.len());
            let alone = replaced(&zip(&[(&plain, b"Name: bar")]), &plain, path, 0, 2);
            assert_ne!(read(&alone), found(b"Name: bar"), "{path}");
            let beside = zip(&[(WHEEL, METADATA), (&plain, b"Name: bar")]);
            let beside = read(&replaced(&beside, &plain, path, 0, 2));
            assert!(matches!(beside, ArchiveMember::Unreadable { .. }), "{path}: {beside:?}");
        }
        for path in [
            "PKG-INFO",
            "foo-1.0/pkg-info",
            "foo-1.0\\PKG-INFO",
            "/foo-1.0/PKG-INFO",
            "a/../PKG-INFO",
        ] {
            assert!(why(&tar(&[(path, METADATA)])).contains("name"), "{path}");
            assert!(
                why(&tar(&[("foo-1.0/PKG-INFO", METADATA), (path, b"x")])).contains("several"),
                "{path}"
            );
        }
    }

    #[test]
    fn a_header_that_contradicts_the_list_makes_the_metadata_unreadable() {
        let whole = zip(&[("foo.py", b"x"), (WHEEL, METADATA)]);
        let renamed = replaced(&whole, WHEEL, "foo-1.0.dist-info/METADATE", 0, 1);
        assert!(why(&renamed).contains("header"));
        // By the list there is another member, and a reader of headers finds the metadata.
        let renamed = replaced(&whole, WHEEL, "foo-1.0.dist-info/METADATE", 1, 1);
        assert_eq!(read(&renamed), ArchiveMember::Missing);
    }

    #[test]
    fn bytes_around_the_archive_make_it_unreadable() {
        let whole = zip(&[(WHEEL, METADATA)]);
        let other = zip(&[(WHEEL, b"Name: bar")]);
        assert!(why(&[&whole[..], b"more"].concat()).contains("where it ends"));
        assert!(why(&[&whole[..], &other[..]].concat()).contains("begins"));
    }

    #[test]
    fn a_member_that_unpacks_to_more_than_it_says_is_unreadable() {
        let body = vec![b'a'; 5000];
        let whole = zip(&[(WHEEL, &body)]);
        let length = 5000_u32.to_le_bytes();
        let mut changed = whole.clone();
        let places: Vec<usize> = (0..whole.len() - 4).filter(|at| whole[*at..at + 4] == length).collect();
        assert!(!places.is_empty());
        for at in places {
            changed[at..at + 4].copy_from_slice(&50_u32.to_le_bytes());
        }
        assert!(matches!(read(&changed), ArchiveMember::Unreadable { .. }));
    }

    #[test]
    fn metadata_without_end_is_unreadable() {
        let limit = usize::try_from(MANIFEST_LIMIT).unwrap();
        let most = vec![b'a'; limit];
        assert_eq!(read(&zip(&[(WHEEL, &most)])), found(&most));
        let more = vec![b'a'; limit + 1];
        assert!(why(&zip(&[(WHEEL, &more)])).contains("larger than 2097152"));
        assert!(why(&tar(&[("foo-1.0/PKG-INFO", &more)])).contains("larger than 2097152"));
    }

    #[test]
    fn a_zip_archive_is_held_up_to_its_limit() {
        let whole = zip(&[(WHEEL, METADATA)]);
        let length = whole.len() as u64;
        assert!(matches!(
            read_zip(&whole[..], length),
            Ok(Some(ArchiveMember::Found { .. }))
        ));
        assert!(matches!(read_zip(&whole[..], length - 1), Err(Unreadable::Archive(_))));
    }

    #[test]
    fn a_wheel_that_is_packed_in_another_way_is_unreadable() {
        let whole = zip_packed(&[(WHEEL, METADATA)], CompressionMethod::BZIP2);
        assert!(why(&whole).contains("packed"));
    }

    proptest! {
        #[test]
        fn whatever_is_changed_in_a_wheel_nothing_but_its_metadata_is_found(
            changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6)
        ) {
            let mut bytes = zip(&[("foo.py", b"x = 1"), (WHEEL, METADATA)]);
            for (at, value) in &changes {
                let at = at.index(bytes.len());
                bytes[at] = *value;
            }
            if let ArchiveMember::Found { body } = read(&bytes) {
                prop_assert_eq!(body.0, METADATA);
            }
        }

        #[test]
        fn no_bytes_do_any_harm(mut bytes in prop::collection::vec(any::<u8>(), 0..600), end in 0..200_usize) {
            read(&bytes);
            bytes.splice(..0, *b"PK");
            let end = bytes.len().saturating_sub(end);
            bytes.splice(end..end, END_RECORD.iter().copied());
            read(&bytes);
        }
    }
}
