//! How large answers are where a host hands them on, and what is done about those that are too large for it.

use axum::body::{Bytes, to_bytes};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use serde::Serialize;

use super::ApiError;

/// The most bytes that one answer of several things is filled up to, as it is [handed on](handed_on): within what any host takes,
/// together with all else that is in it.
pub(super) const FULL: usize = 4 << 20;

/// How long a text is as a string of JSON, in which Lambda and its like hand an answer on (RFC 8259, section 7): a quotation
/// mark, of which a document of JSON has many, is two bytes there.
fn handed_on(text: &[u8]) -> usize {
    let escaped = text.iter().map(|byte| match byte {
        b'"' | b'\\' | b'\n' | b'\r' | b'\t' | 0x08 | 0x0c => 2,
        0..0x20 => 6,
        _ => 1,
    });
    escaped.sum::<usize>().saturating_add(2)
}

/// How many of these things, from the first on, an answer has room for that takes so many bytes of them.
pub(super) fn fill<T: Serialize>(things: &[T], full: usize) -> Result<usize, ApiError> {
    let mut size = 0_usize;
    for (place, thing) in things.iter().enumerate() {
        let text = serde_json::to_vec(thing)
            .map_err(|source| ApiError::ours(format!("a part of the answer cannot be written: {source}")))?;
        size = size.saturating_add(handed_on(&text));
        if size > full {
            return Ok(place);
        }
    }
    Ok(things.len())
}

/// Whether a text has at most so many bytes as a string of JSON. A byte becomes six there at most, so that those of most texts need
/// not be counted.
fn fits(text: &[u8], limit: usize) -> bool {
    text.len().saturating_mul(6).saturating_add(2) <= limit || handed_on(text) <= limit
}

/// The answer as a host hands it on that takes so many bytes of it, escaped as a string of JSON. One that is larger is answered
/// 500 with the code `answer_too_large`, and in the place of a larger error is a short one with its status: otherwise the host
/// would end the invocation, and its caller would not know why.
pub async fn fitting(answer: Response, limit: usize) -> Response<Bytes> {
    let (parts, body) = answer.into_parts();
    let error = match to_bytes(body, usize::MAX).await {
        Ok(bytes) if fits(&bytes, limit) => return Response::from_parts(parts, bytes),
        Ok(bytes) => {
            let bytes = handed_on(&bytes);
            tracing::warn!(
                bytes,
                limit,
                status = parts.status.as_u16(),
                "an answer is too large to be handed on"
            );
            ApiError::too_large(parts.status, bytes, limit)
        }
        Err(source) => ApiError::ours(format!("the answer cannot be read: {source}")),
    };
    let (parts, body) = error.into_response().into_parts();
    // It is in memory already.
    Response::from_parts(parts, to_bytes(body, usize::MAX).await.unwrap_or_default())
}

impl ApiError {
    fn too_large(status: StatusCode, bytes: usize, limit: usize) -> Self {
        let status = if status.is_success() {
            StatusCode::INTERNAL_SERVER_ERROR
        } else {
            status
        };
        Self {
            status,
            code: "answer_too_large",
            message: format!(
                "the answer has {bytes} bytes and this host hands on {limit}; ask for less of it with limit, where there is \
                 one, or for one file; `hekate serve` and `hekate verify --dossier` have no such limit"
            ),
            retry_after: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::http::header;
    use serde_json::{Value, json};

    use super::*;

    const LIMIT: usize = 1000;

    async fn handed(status: StatusCode, text: String) -> (StatusCode, Vec<u8>) {
        let answer = (status, [(header::CONTENT_TYPE, "application/json")], text).into_response();
        let (parts, body) = fitting(answer, LIMIT).await.into_parts();
        assert_eq!(parts.headers[header::CONTENT_TYPE], "application/json");
        (parts.status, body.to_vec())
    }

    #[test]
    fn a_text_is_as_long_as_its_string_of_json() {
        let every: String = (0..0x180).filter_map(char::from_u32).collect();
        for text in ["", "plain", r#"{"a":"b\\c\"d"}"#, &every, "ä€𝄞", &"\u{1}".repeat(9)] {
            let size = json!(text).to_string().len();
            assert_eq!(handed_on(text.as_bytes()), size, "{text:?}");
            assert!(
                fits(text.as_bytes(), size) && !fits(text.as_bytes(), size - 1),
                "{text:?}"
            );
        }
    }

    #[tokio::test]
    async fn what_fits_is_handed_on_as_it_is_and_what_does_not_is_an_error_that_says_so() {
        // Within the limit by its own length, and not as a string.
        let quoted = "\"".repeat(LIMIT / 2 - 1);
        for (text, fits) in [
            ("x".repeat(LIMIT - 2), true),
            ("x".repeat(LIMIT - 1), false),
            (quoted.clone(), true),
            (format!("{quoted}x"), false),
        ] {
            let (status, body) = handed(StatusCode::OK, text.clone()).await;
            if fits {
                assert_eq!((status, body), (StatusCode::OK, text.into_bytes()));
                continue;
            }
            assert_eq!(status, StatusCode::INTERNAL_SERVER_ERROR);
            assert!(handed_on(&body) <= LIMIT);
            let error: Value = serde_json::from_slice(&body).unwrap();
            assert_eq!(error["error"]["code"], "answer_too_large");
        }
    }

    #[tokio::test]
    async fn whose_mistake_it_was_stays_said() {
        for status in [StatusCode::BAD_REQUEST, StatusCode::SERVICE_UNAVAILABLE] {
            let (answered, body) = handed(status, "x".repeat(LIMIT)).await;
            assert_eq!(answered, status);
            assert!(body.starts_with(br#"{"error":{"code":"answer_too_large""#));
        }
    }

    #[tokio::test]
    async fn what_has_no_body_fits() {
        let answer = fitting(StatusCode::NO_CONTENT.into_response(), LIMIT).await;
        assert_eq!(answer.status(), StatusCode::NO_CONTENT);
        assert!(answer.body().is_empty());
    }

    #[test]
    fn a_list_is_filled_until_it_is_full() {
        let filled = |count: usize, full| fill(&vec!["x".repeat(96); count], full).unwrap();
        // Each is 98 bytes with its quotation marks, and 102 as a part of a string.
        assert_eq!([filled(3, 306), filled(4, 306), filled(4, 305)], [3, 3, 2]);
        assert_eq!([filled(3, 101), filled(0, 1)], [0, 0]);
    }
}
