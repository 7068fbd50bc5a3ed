//! Package tarballs, made the same way every time.

use flate2::{Compression, GzBuilder};
use serde_json::Value;
use std::io::Write as _;

/// The modification time that `npm pack` gives to every file: 1985-10-26T08:15:00Z.
const PACKED_AT: u64 = 499_162_500;

/// A gzip-compressed tarball with `package/package.json` and two more files.
///
/// Two calls with the same manifest give the same bytes.
///
/// # Panics
///
/// Never: writing to memory does not fail.
#[expect(clippy::expect_used, reason = "writing to memory does not fail")]
pub fn pack(package_json: &Value) -> Vec<u8> {
    let text = |member: &str| package_json.get(member).and_then(Value::as_str).unwrap_or_default();
    let files = [
        ("package/package.json", format!("{package_json:#}\n")),
        (
            "package/index.js",
            format!(
                "'use strict'\nmodule.exports = '{} {}'\n",
                text("name"),
                text("version")
            ),
        ),
        ("package/README.md", format!("# {}\n", text("name"))),
    ];
    let mut archive = tar::Builder::new(Vec::new());
    for (path, content) in files {
        let mut header = tar::Header::new_ustar();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        header.set_mtime(PACKED_AT);
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

/// Changes exactly one byte, and leaves a valid archive with the same content: the header's operating system, unknown
/// before, becomes Unix (RFC 1952, 2.3.1).
pub(crate) fn swap_one_byte(tarball: &mut [u8]) {
    if let Some(operating_system) = tarball.get_mut(9) {
        *operating_system ^= 0xff ^ 0x03;
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]
mod tests {
    use super::*;
    use flate2::read::GzDecoder;
    use serde_json::json;
    use std::io::Read as _;

    #[test]
    fn the_same_manifest_gives_the_same_bytes() {
        let manifest = json!({"name": "a", "version": "1.0.0"});
        assert_eq!(pack(&manifest), pack(&manifest));
    }

    #[test]
    fn the_manifest_can_be_read_back_even_after_one_byte_was_swapped() {
        let manifest = json!({"name": "a", "version": "1.0.0"});
        let honest = pack(&manifest);
        let mut swapped = honest.clone();
        swap_one_byte(&mut swapped);
        assert_eq!(
            honest
                .iter()
                .zip(&swapped)
                .filter(|(left, right)| left != right)
                .count(),
            1
        );
        let mut archive = tar::Archive::new(GzDecoder::new(swapped.as_slice()));
        let mut first = archive.entries().unwrap().next().unwrap().unwrap();
        assert_eq!(first.path().unwrap().to_str(), Some("package/package.json"));
        let mut text = String::new();
        first.read_to_string(&mut text).unwrap();
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), manifest);
    }
}
