//! A host in Rust: finds the plugin by its manifest, simulates labelled subtomograms, fine-tunes a network that starts from
//! video, and measures it on those that it was not trained on.
//!
//!     rust-host CHECKPOINT MODEL     the video weights, and where the model is saved

use std::{env, error::Error, ops::ControlFlow, process::ExitCode};

use cinetomo_host::{
    Hooks, Manifest, ModelOptions, Plugin, Volume,
    abi::{cinetomo_contrast, cinetomo_part},
    manifest,
};

/// Subtomograms of each class, and voxels along their edges.
const N_EACH: usize = 10;
const BOX: usize = 16;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("rust-host: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [checkpoint, saved] = arguments.as_slice() else {
        return Err("usage: rust-host CHECKPOINT MODEL".into());
    };
    let manifest = manifest::find(None)?.manifest;
    check_layout(&manifest)?;
    let plugin = Plugin::load(&manifest)?;
    let context = plugin.context(plugin.context_options())?;
    println!("cinetomo {}: {}", plugin.version(), plugin.runtime_info()?.summary);

    // Labelled subtomograms; yours are slices of f32, f16, or integers.
    let synthetic = context.synthetic()?;
    let names = &synthetic.phantom_names()[..2];
    let labels: Vec<i32> = (0..names.len() * N_EACH).map(|i| (i % names.len()) as i32).collect();
    let mut options = synthetic.options()?;
    options.box_size = BOX as i64;
    options.voxel_size = 20.0;
    options.snr = 1.0;
    let voxels = synthetic.simulate(None, &labels, &options, Hooks::none())?;
    let boxes = |voxels| -> Result<Volume<'_>, cinetomo_host::Error> {
        let shape = [labels.len() as i64, BOX as i64, BOX as i64, BOX as i64];
        Ok(Volume::new(voxels, shape)?.voxel_size(20.0).contrast(cinetomo_contrast::Dark))
    };

    // What is not to be trained on has no label then.
    let parts = plugin.split(&labels, None, &plugin.split_options())?;
    let only = |part: cinetomo_part| -> Vec<i32> {
        let pairs = labels.iter().zip(&parts);
        pairs.map(|(&label, &of)| if of == part as i32 { label } else { -1 }).collect()
    };
    let mut options = plugin.fine_tune_options();
    options.n_epochs = 4;
    let mut progress = |now: &cinetomo_host::Progress| {
        eprint!("\r{:3.0} %", 100.0 * now.fraction);
        ControlFlow::Continue(()) // Break(()) stops
    };
    let start = ModelOptions::new(names);
    let video = context.model_from_video(checkpoint, &start, Hooks::none())?;
    let training = only(cinetomo_part::Training);
    let model =
        video.fine_tune(&boxes(&voxels)?, &training, &options, Hooks::progress(&mut progress))?;
    eprintln!();

    let probabilities = model.classify(&boxes(&voxels)?, Hooks::none())?;
    let found = plugin.evaluate(&probabilities, &only(cinetomo_part::Test), names.len())?;
    println!("accuracy {:.2} on {} subtomograms", found.accuracy, found.n_evaluated);
    model.save(saved)?;
    Ok(())
}

/// That plugin and host were compiled with the same idea of every struct and function.
#[cfg(feature = "layout-check")]
fn check_layout(manifest: &Manifest) -> Result<(), Box<dyn Error>> {
    use abi_stable::library::lib_header_from_path;
    use cinetomo_abi::cinetomo_root_module_Ref;

    let header = lib_header_from_path(&manifest.library)?;
    header.init_root_module::<cinetomo_root_module_Ref>()?;
    println!("the layouts agree");
    Ok(())
}

/// Version and size of the table are checked when it is loaded.
#[cfg(not(feature = "layout-check"))]
fn check_layout(_: &Manifest) -> Result<(), Box<dyn Error>> {
    Ok(())
}
