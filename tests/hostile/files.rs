//! Files that are no models.

use std::{ffi::c_char, fs, ptr};

use cinetomo_abi::cinetomo_status as Status;
use cinetomo_tests::root;

use crate::fixture::*;

#[test]
fn files_that_are_no_models_are_refused() {
    let fixture = Fixture::new();
    let write = |name: &str, bytes: &[u8]| {
        fs::write(fixture.directory.path().join(name), bytes).expect("a file");
    };
    write("empty", b"");
    write("text", b"<!DOCTYPE html><title>Sign in</title>");
    write("pickle", b"\x80\x04\x8c\x02os\x8c\x06system\x93\x8c\x04true\x85R.");
    fn load(f: &Fixture, name: &str, e: OutError) -> i32 {
        let path = format!("{}/{name}\0", f.directory.path().display());
        let mut out = ptr::without_provenance_mut(5);
        let status = raw!((f.api.model_load)(f.context, path.as_ptr().cast(), &mut out, e));
        assert_eq!(out.addr(), 5, "output on failure");
        status
    }
    fn video(f: &Fixture, name: &str, e: OutError) -> i32 {
        let path = format!("{}/{name}\0", f.directory.path().display());
        let mut out = ptr::without_provenance_mut(5);
        let status = raw!((f.api.model_from_video)(
            f.context,
            path.as_ptr().cast(),
            &f.model_options(),
            ptr::null(),
            &mut out,
            e
        ));
        assert_eq!(out.addr(), 5, "output on failure");
        status
    }
    fn inspect(f: &Fixture, name: &str, e: OutError) -> i32 {
        let path = format!("{}/{name}\0", f.directory.path().display());
        let mut len = 5;
        let status =
            raw!((f.api.weights_inspect)(path.as_ptr().cast(), ptr::null_mut(), 0, &mut len, e));
        assert_eq!(len, 5, "output on failure");
        status
    }
    check(
        &fixture,
        &[
            ("weights_inspect", Status::Io, &["absent"], |f, e| inspect(f, "absent", e)),
            ("weights_inspect", Status::Io, &["directory"], |f, e| inspect(f, ".", e)),
            ("weights_inspect", Status::Format, &["empty"], |f, e| inspect(f, "empty", e)),
            ("weights_inspect", Status::Format, &["web page"], |f, e| inspect(f, "text", e)),
            ("weights_inspect", Status::Format, &["os.system"], |f, e| inspect(f, "pickle", e)),
            ("model_load", Status::Io, &["absent"], |f, e| load(f, "absent", e)),
            ("model_load", Status::Io, &[], |f, e| load(f, ".", e)),
            ("model_load", Status::Format, &["empty"], |f, e| load(f, "empty", e)),
            ("model_load", Status::Format, &["text"], |f, e| load(f, "text", e)),
            ("model_load", Status::Format, &["pickle"], |f, e| load(f, "pickle", e)),
            ("model_from_video", Status::Io, &["absent"], |f, e| video(f, "absent", e)),
            ("model_from_video", Status::Io, &[], |f, e| video(f, ".", e)),
            ("model_from_video", Status::Format, &["empty"], |f, e| video(f, "empty", e)),
            ("model_from_video", Status::Format, &["text"], |f, e| video(f, "text", e)),
            ("model_from_video", Status::Format, &["os.system"], |f, e| video(f, "pickle", e)),
            ("model_save", Status::Io, &["absent"], |f, e| {
                let path = format!("{}/absent/model\0", f.directory.path().display());
                raw!((f.api.model_save)(f.model, path.as_ptr().cast(), e))
            }),
        ],
    );
}

#[test]
fn what_is_in_a_checkpoint_fits_the_buffer_that_was_asked_for() {
    let fixture = Fixture::new();
    let path = root().join("tests/reference/checkpoints/one.safetensors");
    let path = format!("{}\0", path.display());
    let inspect = |buffer: &mut [c_char], len: &mut usize| {
        let capacity = buffer.len();
        let mut error = ptr::null_mut();
        let status = raw!((fixture.api.weights_inspect)(
            path.as_ptr().cast(),
            buffer.as_mut_ptr(),
            capacity,
            len,
            &mut error
        ));
        raw!((fixture.api.error_free)(error));
        status
    };
    let mut len = 0;
    assert_eq!(inspect(&mut [], &mut len), Status::Ok as i32);
    let mut buffer = vec![c_char::MAX; len + 1];
    let mut written = 0;
    assert_eq!(inspect(&mut buffer[..len - 1], &mut written), Status::BufferTooSmall as i32);
    assert_eq!(written, len);
    assert!(buffer.iter().all(|character| *character == c_char::MAX), "output on failure");
    assert_eq!(inspect(&mut buffer, &mut written), Status::Ok as i32);
    assert_eq!((written, buffer[len - 1], buffer[len]), (len, 0, c_char::MAX));
}
