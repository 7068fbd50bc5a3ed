//! Finds `package.json` in an npm package archive as npm's installer would.
//!
//! npm unpacks with node-tar, drops the first component of every path, whatever it is, skips links, and lets a later
//! entry overwrite an earlier one. Registries, package managers and scanners read the same archive with other tar
//! readers, and an archive in which those find different manifests is a known way to hide one. So this reader follows
//! node-tar where readers agree and refuses to choose where they do not: such a manifest is unreadable, with the reason.
//!
//! The headers are walked here instead of by `tar::Archive`, which holds an extended header of any length in memory,
//! ends at the first empty block where node-tar needs two, and reads a body after a directory where node-tar does not.

use std::io::{self, BufRead, Read};

use flate2::bufread::GzDecoder;
use thiserror::Error;

use crate::dossier::{ArchiveMember, Body};

/// The largest manifest that is kept, in bytes.
pub(super) const MANIFEST_LIMIT: u64 = 2 << 20;
/// How far an archive is unpacked, in bytes.
const UNPACKED_LIMIT: u64 = 1 << 30;
/// The longest extended header, in bytes; node-tar ignores longer ones.
const EXTENSION_LIMIT: u64 = 1 << 20;
const BLOCK: usize = 512;

/// Why the manifest of an archive is not known.
#[derive(Debug, Error)]
enum Unreadable {
    #[error("the archive is not a complete gzip stream: {0}")]
    Stream(#[from] io::Error),
    #[error("the archive unpacks to more than {0} bytes")]
    Unpacked(u64),
    #[error("the archive ends in the middle of an entry")]
    Truncated,
    #[error("the archive has a header that is not a tar header")]
    Header,
    #[error("the archive's {0} is larger than {1} bytes")]
    Manifest(&'static str, u64),
    #[error("an extended header of the archive is larger than {EXTENSION_LIMIT} bytes")]
    Extension,
    #[error("programs that unpack the archive disagree about {0}")]
    Disputed(&'static str),
    #[error("programs that unpack the archive disagree about a {0} that is not a regular file")]
    NotAFile(&'static str),
    #[error("programs that unpack the archive disagree about the name of its {0}")]
    Name(&'static str),
    #[error("the archive holds several different files that unpack to {0}")]
    Several(&'static str),
}

#[derive(Clone, Copy)]
struct Limits {
    manifest: u64,
    unpacked: u64,
}

/// Which member of an archive is wanted.
pub(super) struct Wanted {
    /// What it is called, for people.
    pub(super) name: &'static str,
    /// Whether an entry of this path is it, to everybody.
    pub(super) is_it: fn(&str) -> bool,
    /// Whether some reader or file system would take an entry of this path for it.
    pub(super) may_be_it: fn(&str) -> bool,
}

/// What npm reads.
const PACKAGE_JSON: Wanted = Wanted {
    name: "package.json",
    is_it: unpacks_to_manifest,
    may_be_it: may_unpack_to_manifest,
};

/// Reads `package.json` out of a gzipped tar archive.
///
/// The archive is read to its end, as far as it unpacks to at most 1 GiB, because a later entry overwrites an earlier
/// one. Bytes after the end of the gzip stream are left unread unless they begin another gzip member.
/// Memory stays within a few times the manifest's limit of 2 MiB, whatever the archive says about itself.
pub fn read_npm_manifest(archive: impl BufRead) -> ArchiveMember {
    read_member(archive, &PACKAGE_JSON)
}

/// Reads another member out of a gzipped tar archive, with the same care.
pub(super) fn read_member(mut archive: impl BufRead, wanted: &Wanted) -> ArchiveMember {
    // RFC 1952, 2.3.1: a gzip member begins with these two bytes. Chunks may be as short as one byte, and a stream that
    // begins with the first of them is left to the reader below to judge.
    match archive.fill_buf() {
        Ok([first, ..]) if *first != 0x1f => return ArchiveMember::NotAnArchive,
        Ok([_, second, ..]) if *second != 0x8b => return ArchiveMember::NotAnArchive,
        Ok(_) | Err(_) => {}
    }
    read_within(
        archive,
        wanted,
        Limits {
            manifest: MANIFEST_LIMIT,
            unpacked: UNPACKED_LIMIT,
        },
    )
}

fn read_within(archive: impl BufRead, wanted: &Wanted, limits: Limits) -> ArchiveMember {
    match find_member(archive, wanted, limits) {
        Ok(Some(bytes)) => ArchiveMember::Found { body: Body(bytes) },
        Ok(None) => ArchiveMember::Missing,
        Err(unreadable) => ArchiveMember::Unreadable {
            detail: unreadable.to_string(),
        },
    }
}

fn find_member(archive: impl BufRead, wanted: &Wanted, limits: Limits) -> Result<Option<Vec<u8>>, Unreadable> {
    let mut unpacked = Unpacked {
        inner: Members::new(archive).take(limits.unpacked),
        limit: limits.unpacked,
    };
    let mut manifest: Option<Vec<u8>> = None;
    let mut name_is_exact = false;
    let mut pending = Extension::default();
    let mut after_empty_block = false;

    while let Some(block) = unpacked.block()? {
        if block.iter().all(|byte| *byte == 0) {
            // An archive ends with two empty blocks. node-tar steps over a single one, where other readers stop.
            if after_empty_block {
                break;
            }
            after_empty_block = true;
            continue;
        }
        if after_empty_block {
            return Err(Unreadable::Disputed("where it ends"));
        }
        let entry = Entry::parse(&block)?;
        match entry.kind {
            Kind::Extended => pending.merge(Extension::parse(&unpacked.extension(entry.size)?)?)?,
            Kind::GlobalExtended => {
                if Extension::parse(&unpacked.extension(entry.size)?)? != Extension::default() {
                    return Err(Unreadable::Disputed("a global header that renames or resizes entries"));
                }
            }
            Kind::LongName => {
                let name = unpacked.extension(entry.size)?;
                let path = Some(until_nul(&name).to_vec());
                pending.merge(Extension {
                    path,
                    ..Extension::default()
                })?;
            }
            Kind::LongLinkName => {
                unpacked.extension(entry.size)?;
            }
            Kind::File | Kind::Directory | Kind::Other => {
                let extension = std::mem::take(&mut pending);
                if extension.retyped {
                    return Err(Unreadable::Disputed("the type of an entry"));
                }
                if extension.size.is_some_and(|size| size != entry.size) {
                    return Err(Unreadable::Disputed("the size of an entry"));
                }
                let path = extension.path.unwrap_or(entry.path);
                if path.is_empty() {
                    return Err(Unreadable::Disputed("an entry without a name"));
                }
                let text = String::from_utf8_lossy(&path);
                let is_directory = entry.kind == Kind::Directory || (entry.may_be_directory && text.ends_with('/'));
                if is_directory {
                    // node-tar expects no body after a directory, whatever its size says.
                    if entry.size != 0 {
                        return Err(Unreadable::Disputed("a directory with contents"));
                    }
                    continue;
                }
                let exact = (wanted.is_it)(&text);
                if !exact && !(wanted.may_be_it)(&text) {
                    unpacked.skip(entry.size)?;
                    continue;
                }
                if entry.kind != Kind::File {
                    return Err(Unreadable::NotAFile(wanted.name));
                }
                if entry.size > limits.manifest {
                    return Err(Unreadable::Manifest(wanted.name, limits.manifest));
                }
                let bytes = unpacked.body(entry.size)?;
                if manifest.as_ref().is_some_and(|earlier| *earlier != bytes) {
                    return Err(Unreadable::Several(wanted.name));
                }
                manifest = Some(bytes);
                name_is_exact |= exact;
            }
        }
    }
    unpacked.finish()?;
    if manifest.is_some() && !name_is_exact {
        return Err(Unreadable::Name(wanted.name));
    }
    Ok(manifest)
}

/// Whether npm writes this entry to `package.json`: it drops the first component and resolves the rest.
fn unpacks_to_manifest(path: &str) -> bool {
    let mut rest = path.split('/').skip(1).filter(|part| !part.is_empty() && *part != ".");
    rest.next() == Some("package.json") && rest.next().is_none()
}

/// Whether some package manager or file system would take this entry for the manifest: without a top folder, below
/// `./`, with other separators, or with a name that only case or trailing dots tell apart.
fn may_unpack_to_manifest(path: &str) -> bool {
    // Upper case first: it also folds the long s, and lower case then folds the Kelvin sign.
    let folded = path.replace('\\', "/").to_uppercase().to_lowercase();
    let mut parts = folded.split('/').filter(|part| !part.is_empty() && *part != ".");
    let ((Some(last), None, None) | (Some(_), Some(last), None)) = (parts.next(), parts.next(), parts.next()) else {
        return false;
    };
    last.trim_end_matches(['.', ' ']) == "package.json"
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    File,
    Directory,
    Extended,
    GlobalExtended,
    LongName,
    LongLinkName,
    Other,
}

/// What one header block says.
struct Entry {
    kind: Kind,
    path: Vec<u8>,
    size: u64,
    /// Old writers marked a directory as a file with a trailing slash.
    may_be_directory: bool,
}

impl Entry {
    fn parse(block: &[u8; BLOCK]) -> Result<Self, Unreadable> {
        let header = tar::Header::from_byte_slice(block);
        let sum: u32 = block
            .iter()
            .enumerate()
            // The checksum field counts as spaces.
            .map(|(position, byte)| {
                if (148..156).contains(&position) {
                    32
                } else {
                    u32::from(*byte)
                }
            })
            .sum();
        if header.cksum().ok() != Some(sum) {
            return Err(Unreadable::Header);
        }
        let old = header.as_old();
        let code = old.linkflag[0];
        let kind = match code {
            b'0' | b'7' | 0 => Kind::File,
            b'5' => Kind::Directory,
            b'x' | b'X' => Kind::Extended,
            b'g' => Kind::GlobalExtended,
            b'L' | b'N' => Kind::LongName,
            b'K' => Kind::LongLinkName,
            // Its data is followed by more headers, which node-tar does not know.
            b'S' => return Err(Unreadable::Disputed("a sparse file")),
            _ => Kind::Other,
        };
        // node-tar refuses these headers and takes what follows for the next header.
        let is_link = matches!(code, b'1' | b'2');
        let names_target = old.linkname[0] != 0;
        if is_link != names_target && !matches!(kind, Kind::Extended | Kind::GlobalExtended) {
            return Err(Unreadable::Disputed("what is a link"));
        }
        let mut path = until_nul(&old.name).to_vec();
        if let Some(ustar) = header.as_ustar() {
            // Where the last byte before the old time fields is empty, node-tar reads a prefix of 130 bytes.
            let (short, long) = ustar.prefix.split_at(130);
            let prefix = if long.first() == Some(&0) {
                until_nul(short)
            } else {
                until_nul(&ustar.prefix)
            };
            if !prefix.is_empty() {
                path = [prefix, b"/", path.as_slice()].concat();
            }
        }
        let size = header.entry_size().map_err(|_source| Unreadable::Header)?;
        Ok(Self {
            kind,
            path,
            size,
            may_be_directory: matches!(code, b'0' | 0),
        })
    }
}

/// What extended headers say about the entry that follows them, as far as it concerns where its bytes go.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Extension {
    path: Option<Vec<u8>>,
    size: Option<u64>,
    retyped: bool,
}

impl Extension {
    /// Reads records of the form `length key=value\n` (POSIX pax, "pax Extended Header"), both by their lengths and,
    /// as node-tar does, line by line; values with line breaks may make the two differ.
    fn parse(data: &[u8]) -> Result<Self, Unreadable> {
        let mut by_length = Self::default();
        let mut rest = data;
        while !rest.is_empty() {
            let record = leading_number(rest)
                .and_then(|length| rest.split_at_checked(length))
                .and_then(|(record, after)| Some((record.strip_suffix(b"\n")?, after)));
            let Some((record, after)) = record else {
                return Err(Unreadable::Disputed("an extended header that is malformed"));
            };
            by_length.take_record(record);
            rest = after;
        }
        let mut by_line = Self::default();
        for line in data.split(|byte| *byte == b'\n') {
            // A line that is not UTF-8 grows when it is decoded, so its length no longer fits.
            if leading_number(line) == Some(line.len() + 1) && std::str::from_utf8(line).is_ok() {
                by_line.take_record(line);
            }
        }
        if by_length == by_line {
            Ok(by_length)
        } else {
            Err(Unreadable::Disputed("an extended header"))
        }
    }

    fn take_record(&mut self, record: &[u8]) {
        let mut halves = record.splitn(2, |byte| *byte == b' ');
        let (Some(_length), Some(pair)) = (halves.next(), halves.next()) else {
            return;
        };
        let mut halves = pair.splitn(2, |byte| *byte == b'=');
        let (Some(key), Some(value)) = (halves.next(), halves.next()) else {
            return;
        };
        let value = until_nul(value);
        match key {
            b"path" => self.path = Some(value.to_vec()),
            // A size that is not a number never equals the header's.
            b"size" => {
                let size = std::str::from_utf8(value).ok().and_then(|text| text.parse().ok());
                self.size = Some(size.unwrap_or(u64::MAX));
            }
            b"type" => self.retyped = true,
            _ => {}
        }
    }

    fn merge(&mut self, later: Self) -> Result<(), Unreadable> {
        // Which of two names wins depends on the reader.
        if self.path.is_some() && later.path.is_some() && self.path != later.path {
            return Err(Unreadable::Disputed("the name of an entry"));
        }
        if self.size.is_some() && later.size.is_some() && self.size != later.size {
            return Err(Unreadable::Disputed("the size of an entry"));
        }
        self.path = later.path.or(self.path.take());
        self.size = later.size.or(self.size);
        self.retyped |= later.retyped;
        Ok(())
    }
}

fn leading_number(bytes: &[u8]) -> Option<usize> {
    let digits = bytes.split(|byte| *byte == b' ').next()?;
    if !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(digits).ok()?.parse().ok()
}

fn until_nul(bytes: &[u8]) -> &[u8] {
    bytes.split(|byte| *byte == 0).next().unwrap_or(bytes)
}

/// The unpacked bytes, up to their limit.
struct Unpacked<R> {
    inner: io::Take<R>,
    limit: u64,
}

impl<R: Read> Unpacked<R> {
    /// The next block, or `None` at the end.
    fn block(&mut self) -> Result<Option<[u8; BLOCK]>, Unreadable> {
        let mut block = [0_u8; BLOCK];
        let mut taken = 0;
        while let Some(free) = block.get_mut(taken..).filter(|free| !free.is_empty()) {
            match self.inner.read(free) {
                Ok(0) if self.inner.limit() == 0 => return Err(Unreadable::Unpacked(self.limit)),
                Ok(0) if taken == 0 => return Ok(None),
                Ok(0) => return Err(Unreadable::Truncated),
                Ok(count) => taken += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(Some(block))
    }

    fn extension(&mut self, size: u64) -> Result<Vec<u8>, Unreadable> {
        if size > EXTENSION_LIMIT {
            Err(Unreadable::Extension)
        } else {
            self.body(size)
        }
    }

    /// A body with its padding removed. The caller has bounded `size`.
    fn body(&mut self, size: u64) -> Result<Vec<u8>, Unreadable> {
        let mut bytes = Vec::new();
        let count = (&mut self.inner).take(size).read_to_end(&mut bytes)?;
        self.complete(count as u64, size)?;
        self.skip_exactly(padding(size))?;
        Ok(bytes)
    }

    fn skip(&mut self, size: u64) -> Result<(), Unreadable> {
        self.skip_exactly(size)?;
        self.skip_exactly(padding(size))
    }

    fn skip_exactly(&mut self, count: u64) -> Result<(), Unreadable> {
        let skipped = io::copy(&mut (&mut self.inner).take(count), &mut io::sink())?;
        self.complete(skipped, count)
    }

    fn complete(&self, got: u64, wanted: u64) -> Result<(), Unreadable> {
        if got == wanted {
            Ok(())
        } else if self.inner.limit() == 0 {
            Err(Unreadable::Unpacked(self.limit))
        } else {
            Err(Unreadable::Truncated)
        }
    }

    /// Reads what follows the end of the archive, so that a damaged stream is noticed by its checksum.
    fn finish(&mut self) -> Result<(), Unreadable> {
        io::copy(&mut self.inner, &mut io::sink())?;
        if self.inner.limit() == 0 {
            Err(Unreadable::Unpacked(self.limit))
        } else {
            Ok(())
        }
    }
}

fn padding(size: u64) -> u64 {
    let beyond = size % BLOCK as u64;
    if beyond == 0 { 0 } else { BLOCK as u64 - beyond }
}

/// The members of a gzip stream, one after the other (RFC 1952, section 2.2), until bytes follow that begin no member:
/// padding, or what a careless writer left there.
struct Members<R: BufRead> {
    current: Option<GzDecoder<R>>,
}

impl<R: BufRead> Members<R> {
    fn new(reader: R) -> Self {
        Self {
            current: Some(GzDecoder::new(reader)),
        }
    }
}

impl<R: BufRead> Read for Members<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while let Some(mut member) = self.current.take() {
            let count = member.read(buffer)?;
            if count > 0 || buffer.is_empty() {
                self.current = Some(member);
                return Ok(count);
            }
            let mut rest = member.into_inner();
            if rest.fill_buf()?.first() == Some(&0x1f) {
                self.current = Some(GzDecoder::new(rest));
            }
        }
        Ok(0)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    const MANIFEST: &[u8] = br#"{"name":"a","version":"1.0.0"}"#;

    fn entry(code: u8, path: &str, body: &[u8]) -> Vec<u8> {
        let mut header = tar::Header::new_ustar();
        header.as_old_mut().name[..path.len()].copy_from_slice(path.as_bytes());
        header.as_old_mut().linkflag[0] = code;
        header.set_size(body.len() as u64);
        header.set_mode(0o644);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(0);
        if matches!(code, b'1' | b'2') {
            header.as_old_mut().linkname[0] = b'x';
        }
        header.set_cksum();
        let mut bytes = header.as_bytes().to_vec();
        bytes.extend_from_slice(body);
        bytes.resize(bytes.len().next_multiple_of(BLOCK), 0);
        bytes
    }

    fn file(path: &str, body: &[u8]) -> Vec<u8> {
        entry(b'0', path, body)
    }

    fn pax(records: &[(&str, &[u8])]) -> Vec<u8> {
        let mut body = Vec::new();
        for (key, value) in records {
            let rest = key.len() + value.len() + 3;
            let length = (1..6)
                .map(|digits| rest + digits)
                .find(|length| length.to_string().len() + rest == *length);
            body.extend_from_slice(format!("{} {key}=", length.unwrap()).as_bytes());
            body.extend_from_slice(value);
            body.push(b'\n');
        }
        entry(b'x', "PaxHeader/a", &body)
    }

    fn end() -> Vec<u8> {
        vec![0; 2 * BLOCK]
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn read(parts: &[Vec<u8>]) -> ArchiveMember {
        read_npm_manifest(gzip(&[parts.concat(), end()].concat()).as_slice())
    }

    fn found() -> ArchiveMember {
        ArchiveMember::Found {
            body: Body(MANIFEST.to_vec()),
        }
    }

    fn detail(member: &ArchiveMember) -> &str {
        match member {
            ArchiveMember::Unreadable { detail } => detail,
            ArchiveMember::Found { .. } | ArchiveMember::Missing | ArchiveMember::NotAnArchive => {
                panic!("readable: {member:?}")
            }
        }
    }

    #[test]
    fn the_manifest_is_found_in_the_top_folder_whatever_its_name() {
        for path in [
            "package/package.json",
            "other/package.json",
            "./package.json",
            "package//./package.json",
        ] {
            assert_eq!(
                read(&[file("package/a.js", b"1"), file(path, MANIFEST)]),
                found(),
                "{path}"
            );
        }
    }

    #[test]
    fn a_manifest_in_a_deeper_folder_is_not_the_manifest() {
        let member = read(&[
            file("package/sub/package.json", MANIFEST),
            file("package/package.json.bak", MANIFEST),
        ]);
        assert_eq!(member, ArchiveMember::Missing);
    }

    #[test]
    fn the_same_manifest_twice_is_found() {
        assert_eq!(
            read(&[
                file("package/package.json", MANIFEST),
                file("package/package.json", MANIFEST)
            ]),
            found()
        );
    }

    #[test]
    fn two_different_manifests_are_unreadable() {
        for other in [
            "package/package.json",
            "evil/package.json",
            "package/Package.JSON",
            "package.json",
        ] {
            let member = read(&[file("package/package.json", MANIFEST), file(other, b"{}")]);
            assert!(detail(&member).contains("several different files"), "{other}");
        }
    }

    #[test]
    fn a_name_that_only_some_programs_take_for_the_manifest_is_unreadable() {
        for name in [
            "package.json",
            "package/PACKAGE.json",
            "./package/package.json",
            "package\\package.json",
        ] {
            assert!(
                detail(&read(&[file(name, MANIFEST)])).contains("the name of its package.json"),
                "{name}"
            );
        }
    }

    #[test]
    fn a_manifest_that_is_a_link_is_unreadable() {
        let member = read(&[entry(b'2', "package/package.json", b"")]);
        assert!(detail(&member).contains("not a regular file"));
    }

    #[test]
    fn links_and_directories_elsewhere_are_stepped_over() {
        let parts = [
            entry(b'5', "package/", b""),
            entry(b'2', "package/l", b""),
            file("package/package.json", MANIFEST),
        ];
        assert_eq!(read(&parts), found());
    }

    #[test]
    fn a_directory_with_contents_is_unreadable() {
        let hidden = file("package/package.json", b"{}");
        let member = read(&[
            entry(b'5', "package/d", &hidden),
            file("package/package.json", MANIFEST),
        ]);
        assert!(detail(&member).contains("a directory with contents"));
    }

    #[test]
    fn entries_after_a_single_empty_block_are_unreadable() {
        let member = read(&[
            file("package/package.json", MANIFEST),
            vec![0; BLOCK],
            file("package/package.json", b"{}"),
        ]);
        assert!(detail(&member).contains("where it ends"));
    }

    #[test]
    fn bytes_after_the_end_of_the_archive_are_ignored() {
        let archive = [file("package/package.json", MANIFEST), end(), b"left over".to_vec()].concat();
        assert_eq!(read_npm_manifest(gzip(&archive).as_slice()), found());
    }

    #[test]
    fn bytes_after_the_end_of_the_gzip_stream_are_ignored() {
        for garbage in [vec![0; 700], b"left over".to_vec()] {
            let archive = gzip(&[file("package/package.json", MANIFEST), end()].concat());
            assert_eq!(read_npm_manifest([archive, garbage].concat().as_slice()), found());
        }
    }

    #[test]
    fn gzip_members_are_read_one_after_the_other() {
        let tar = [
            file("package/a.js", &[7; 3000]),
            file("package/package.json", MANIFEST),
            end(),
        ]
        .concat();
        let (first, second) = tar.split_at(1234);
        assert_eq!(
            read_npm_manifest([gzip(first), gzip(second)].concat().as_slice()),
            found()
        );
    }

    #[test]
    fn a_global_comment_and_extended_times_are_ignored() {
        let global = entry(b'g', "pax_global_header", b"15 comment=abc\n");
        let times = pax(&[("mtime", b"1.5"), ("SCHILY.xattr.a", b"\xff\n\x00")]);
        assert_eq!(read(&[global, times, file("package/package.json", MANIFEST)]), found());
    }

    #[test]
    fn extended_and_long_names_name_the_next_entry() {
        let long = entry(b'L', "././@LongLink", b"package/package.json\0");
        assert_eq!(read(&[long, file("package/x", MANIFEST)]), found());
        let extended = pax(&[("path", b"package/package.json")]);
        assert_eq!(
            read(&[extended, file("package/x", MANIFEST), file("package/y", b"")]),
            found()
        );
    }

    #[test]
    fn two_names_for_one_entry_are_unreadable() {
        let long = entry(b'L', "././@LongLink", b"package/package.json\0");
        let member = read(&[long, pax(&[("path", b"package/other")]), file("package/x", MANIFEST)]);
        assert!(detail(&member).contains("the name of an entry"));
    }

    #[test]
    fn an_extended_header_that_resizes_or_retypes_an_entry_is_unreadable() {
        let member = read(&[
            pax(&[("size", b"0")]),
            file("package/a", &file("package/package.json", b"{}")),
        ]);
        assert!(detail(&member).contains("the size of an entry"));
        let member = read(&[pax(&[("type", b"File")]), file("package/a", b"")]);
        assert!(detail(&member).contains("the type of an entry"));
    }

    #[test]
    fn an_extended_header_that_readers_split_differently_is_unreadable() {
        let value = b"x\n29 path=package/package.json\n";
        let member = read(&[pax(&[("comment", value)]), file("package/x", MANIFEST)]);
        assert!(detail(&member).contains("an extended header"), "{member:?}");
    }

    #[test]
    fn a_huge_extended_header_is_unreadable() {
        let member = read(&[entry(b'x', "PaxHeader/a", &vec![0; 2 << 20])]);
        assert!(detail(&member).contains("extended header"));
    }

    #[test]
    fn entries_that_readers_step_over_differently_are_unreadable() {
        let global = entry(b'g', "pax_global_header", b"11 path=ab\n");
        let sparse = entry(b'S', "package/a", b"");
        let nameless = file("", b"");
        let mut header = tar::Header::new_ustar();
        header.as_old_mut().name[0] = b'a';
        header.as_old_mut().linkname[0] = b'b';
        header.set_size(0);
        header.set_cksum();
        let file_with_target = header.as_bytes().to_vec();
        for (part, what) in [
            (global, "a global header"),
            (sparse, "a sparse file"),
            (nameless, "an entry without a name"),
            (file_with_target, "what is a link"),
        ] {
            let member = read(&[part, file("package/package.json", MANIFEST)]);
            assert!(detail(&member).contains(what), "{what}: {member:?}");
        }
    }

    #[test]
    fn an_old_name_prefix_is_part_of_the_path() {
        let mut block = file("package.json", MANIFEST);
        block[345..352].copy_from_slice(b"package");
        let sum: u32 = block[..BLOCK].iter().map(|byte| u32::from(*byte)).sum::<u32>()
            - block[148..156].iter().map(|byte| u32::from(*byte)).sum::<u32>()
            + 8 * 32;
        block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        assert_eq!(read(&[block]), found());
    }

    #[test]
    fn a_manifest_beyond_its_limit_is_unreadable() {
        let archive = gzip(&[file("package/package.json", &[b' '; 2000]), end()].concat());
        let member = read_within(
            archive.as_slice(),
            &PACKAGE_JSON,
            Limits {
                manifest: 1000,
                unpacked: UNPACKED_LIMIT,
            },
        );
        assert!(detail(&member).contains("larger than 1000 bytes"));
    }

    #[test]
    fn an_archive_that_unpacks_beyond_its_limit_is_unreadable() {
        let archive = gzip(
            &[
                file("package/package.json", MANIFEST),
                file("package/big", &vec![0; 200_000]),
                end(),
            ]
            .concat(),
        );
        let member = read_within(
            archive.as_slice(),
            &PACKAGE_JSON,
            Limits {
                manifest: MANIFEST_LIMIT,
                unpacked: 100_000,
            },
        );
        assert!(detail(&member).contains("more than 100000 bytes"));
    }

    #[test]
    fn what_is_no_gzip_stream_is_no_archive() {
        assert_eq!(read_npm_manifest(&b"<html></html>"[..]), ArchiveMember::NotAnArchive);
        assert_eq!(read_npm_manifest(&b"\x1f\x8c"[..]), ArchiveMember::NotAnArchive);
    }

    #[test]
    fn what_is_empty_or_not_tar_is_unreadable() {
        assert!(detail(&read_npm_manifest(&b""[..])).contains("gzip"));
        assert!(detail(&read_npm_manifest(gzip(&[b'a'; 600]).as_slice())).contains("not a tar header"));
    }

    #[test]
    fn a_truncated_or_damaged_archive_is_unreadable() {
        let whole = gzip(
            &[
                file("package/package.json", MANIFEST),
                file("package/a", &[3; 2000]),
                end(),
            ]
            .concat(),
        );
        for length in [whole.len() - 1, whole.len() - 9, whole.len() / 2] {
            assert!(
                detail(&read_npm_manifest(&whole[..length])).contains("gzip"),
                "{length}"
            );
        }
        let mut damaged = whole.clone();
        let checksum = damaged.len() - 8;
        damaged[checksum] ^= 1;
        assert!(detail(&read_npm_manifest(damaged.as_slice())).contains("gzip"));
        let cut = file("package/a", &[3; 2000])[..1500].to_vec();
        assert!(detail(&read_npm_manifest(gzip(&cut).as_slice())).contains("middle of an entry"));
    }

    #[test]
    fn an_archive_without_entries_has_no_manifest() {
        assert_eq!(read(&[]), ArchiveMember::Missing);
    }
}
