//! Handles that were freed, stopped calls, and several threads.

use std::{
    ffi::{CStr, c_void},
    ptr,
};

use cinetomo_abi::{cinetomo_status as Status, *};

use crate::{fixture::*, null};

#[test]
fn frees_and_questions_accept_anything() {
    let fixture = Fixture::new();
    let api = fixture.api;
    // SAFETY: NULL, wrong and freed handles are what the contract promises to bear.
    unsafe {
        for garbage in [0usize, 1, 8, 0xdead_beef, usize::MAX] {
            (api.error_free)(ptr::without_provenance_mut(garbage));
            (api.context_free)(ptr::without_provenance_mut(garbage));
            (api.cancel_free)(ptr::without_provenance_mut(garbage));
            (api.model_free)(ptr::without_provenance_mut(garbage));
            (api.cancel_raise)(ptr::without_provenance_mut(garbage));
            let status = (api.error_status)(ptr::without_provenance_mut(garbage));
            assert_eq!(status, if garbage == 0 { 0 } else { INVALID as i32 });
            assert!(!(api.error_message)(ptr::without_provenance_mut(garbage)).is_null());
        }
        // A handle of another type frees nothing.
        (api.model_free)(fixture.context.cast());
        (api.context_free)(fixture.model.cast());
        assert_eq!(fixture.classify(&fixture.volume(), ptr::null_mut()), Status::Ok as i32);
        // Freed twice: once.
        (api.context_free)(fixture.context);
        (api.context_free)(fixture.context);
        assert_eq!(fixture.classify(&fixture.volume(), ptr::null_mut()), Status::Ok as i32);
        (api.model_free)(fixture.model);
        (api.model_free)(fixture.model);
        assert_eq!(fixture.classify(&fixture.volume(), ptr::null_mut()), INVALID as i32);

        for number in [-1, 15, i32::MIN, i32::MAX] {
            assert_eq!(CStr::from_ptr((api.status_name)(number)), c"UNKNOWN");
        }
        assert_eq!(CStr::from_ptr((api.status_name)(7)), c"FORMAT");
        assert!((api.get_extension)(ptr::null()).is_null());
        assert!((api.get_extension)(c"cinetomo.synthetic/2".as_ptr()).is_null());
        assert!((api.get_extension)(c"\xff".as_ptr()).is_null());
        let synthetic = fixture.synthetic();
        assert!((synthetic.phantom_name)((synthetic.n_phantoms)()).is_null());
        assert!((synthetic.phantom_name)(usize::MAX).is_null());
    }
}

#[test]
fn a_stopped_call_stops_and_leaves_nothing() {
    let fixture = Fixture::new();
    let api = fixture.api;
    unsafe extern "C" fn stop(calls: *mut c_void, progress: *const cinetomo_progress) -> i32 {
        // SAFETY: the counter of this test, and progress that the library vouches for.
        unsafe {
            assert!((0.0..=1.0).contains(&(*progress).fraction));
            *calls.cast::<i32>() += 1;
        }
        1
    }
    let mut calls = 0i32;
    let stopping = cinetomo_hooks {
        user_data: (&raw mut calls).cast(),
        progress: Some(stop),
        ..fixture.hooks()
    };
    let raised = cinetomo_hooks { cancel: fixture.cancel, ..fixture.hooks() };
    // SAFETY: valid arguments.
    unsafe { (api.cancel_raise)(fixture.cancel) }
    for hooks in [stopping, raised] {
        let mut out = ptr::without_provenance_mut(5);
        // SAFETY: valid arguments.
        let status = unsafe {
            (api.model_fine_tune)(
                fixture.model,
                &fixture.volume(),
                fixture.labels.as_ptr(),
                N,
                &fixture.fine_tune_options(),
                &hooks,
                &mut out,
                ptr::null_mut(),
            )
        };
        assert_eq!(status, Status::Cancelled as i32);
        assert_eq!(out.addr(), 5, "output on failure");
    }
    assert_eq!(calls, 1, "the callback ran after it had said stop");
    assert_eq!(fixture.classify(&fixture.volume(), ptr::null_mut()), Status::Ok as i32);
}

#[test]
fn a_callback_that_asks_for_the_model_at_work_is_refused() {
    unsafe extern "C" fn ask(fixture: *mut c_void, _: *const cinetomo_progress) -> i32 {
        // SAFETY: the fixture of this test.
        let fixture = unsafe { &*fixture.cast::<Fixture>() };
        let mut error = ptr::null_mut();
        assert_eq!(fixture.classify(&fixture.volume(), &mut error), INVALID as i32);
        assert!(message(fixture.api, error).contains("at work"), "{}", message(fixture.api, error));
        // SAFETY: a live error.
        unsafe { (fixture.api.error_free)(error) }
        0
    }
    let fixture = Fixture::new();
    let hooks = cinetomo_hooks {
        user_data: (&raw const fixture).cast_mut().cast(),
        progress: Some(ask),
        ..fixture.hooks()
    };
    let mut scores = [0.0f32; N * 3];
    let mut len = 0;
    // SAFETY: the buffer is as large as stated.
    let status = unsafe {
        (fixture.api.model_classify)(
            fixture.model,
            &fixture.volume(),
            &hooks,
            scores.as_mut_ptr(),
            scores.len(),
            &mut len,
            ptr::null_mut(),
        )
    };
    assert_eq!((status, len), (Status::Ok as i32, N * 3));
    assert_eq!(fixture.classify(&fixture.volume(), ptr::null_mut()), Status::Ok as i32);
}

#[test]
fn threads_share_models_and_free_them_under_each_other() {
    let fixture = Fixture::new();
    let expected = scores(&fixture);
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let (fixture, expected) = (&fixture, &expected);
            scope.spawn(move || {
                for round in 0..3 {
                    assert_eq!(&scores(fixture), expected, "thread {thread}, round {round}");
                    check(fixture, &null::cases()[thread * 5..thread * 5 + 5]);
                    let mut model = ptr::null_mut();
                    // SAFETY: valid arguments.
                    unsafe {
                        let api = fixture.api;
                        let status = (api.model_random)(
                            fixture.context,
                            &fixture.model_options(),
                            &mut model,
                            ptr::null_mut(),
                        );
                        assert_eq!(status, Status::Ok as i32);
                        (api.model_free)(model);
                    }
                }
            });
        }
    });
    // Freed while calls are at work: each call ends well or says that the handle is dead.
    std::thread::scope(|scope| {
        for _ in 0..3 {
            let fixture = &fixture;
            scope.spawn(move || {
                let status = fixture.classify(&fixture.volume(), ptr::null_mut());
                assert!([Status::Ok as i32, INVALID as i32].contains(&status), "{status}");
            });
        }
        let fixture = &fixture;
        // SAFETY: as above.
        scope.spawn(move || unsafe { (fixture.api.model_free)(fixture.model) });
    });
}

fn scores(fixture: &Fixture) -> Vec<f32> {
    let (mut scores, mut len) = (vec![0.0; N * 3], 0);
    // SAFETY: the buffer is as large as stated.
    let status = unsafe {
        (fixture.api.model_classify)(
            fixture.model,
            &fixture.volume(),
            ptr::null(),
            scores.as_mut_ptr(),
            scores.len(),
            &mut len,
            ptr::null_mut(),
        )
    };
    assert_eq!((status, len), (Status::Ok as i32, N * 3));
    scores
}
