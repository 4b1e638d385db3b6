//! Files that are no models.

use std::{fs, ptr};

use cinetomo_abi::cinetomo_status as Status;

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
    check(
        &fixture,
        &[
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
