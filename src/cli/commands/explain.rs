//! `cinetomo explain`: where in each box the evidence for a class lies.

use std::path::PathBuf;

use cinetomo_formats::mrc;
use cinetomo_host::{GradCamOptions, ModelInfo, abi::cinetomo_cam_method};
use clap::{Args, ValueEnum};
use ndarray::ArrayView3;
use serde_json::json;

use crate::{
    args::Global,
    boxes::{BoxArgs, Boxes},
    chunks::{Which, for_chunks},
    console::Console,
    failure::{Failure, Result},
    outputs,
    run_file::RunFile,
    session::Session,
    slices::{self, Image},
};

/// Boxes that a picture shows at most: more make an image that no viewer likes.
const MAX_PICTURED: usize = 32;

/// Pixels of a picture along the longest edge of a slice, at least.
const SLICE_PIXELS: usize = 128;

const EXAMPLES: &str = "\
Maps are of the size of the boxes: lay them over the boxes in any viewer. They are as fine as the stage that they come
from: the voxels of a late stage are large. Grad-CAM (Selvaraju et al. 2017) shows evidence for the class; Respond-CAM
(Zhao et al. 2018) shows evidence against it, too, as negative numbers.

The picture has a row for each box: slices across z, y and x, and the same with the map over them, orange for the class
and blue against it. Slices are means of the middle sixth of a box.

Examples:
  cinetomo explain -m tuned.safetensors -i boxes/ --contrast dark -o maps.mrcs
  cinetomo explain -m tuned.safetensors -i boxes.mrc --which 1 5 -o maps.mrcs --picture maps.png
  cinetomo explain -m tuned.safetensors -i boxes.mrc --class ribosome --method respond-cam -o maps.mrcs";

/// Maps evidence.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct Explain {
    /// The model
    #[arg(long, short, value_name = "FILE.safetensors")]
    model: PathBuf,
    #[command(flatten)]
    boxes: BoxArgs,
    /// Only these boxes, counted from 1 in the order of the input
    #[arg(long, value_name = "NUMBER", num_args = 1..)]
    which: Vec<usize>,
    /// The class [default: of each box the one that is most probable]
    #[arg(long, value_name = "NAME")]
    class: Option<String>,
    /// The stage of the network that is looked into; a wrong name lists them [default: that of the paper or its like]
    #[arg(long, value_name = "NAME")]
    stage: Option<String>,
    /// How the channels of the stage are weighed
    #[arg(long, value_enum, default_value_t = Method::GradCam)]
    method: Method,
    /// A stack of maps (MRC, as large as the boxes)
    #[arg(long, short, value_name = "FILE.mrcs")]
    output: PathBuf,
    /// Slices of the boxes with their maps over them, of the first 32
    #[arg(long, value_name = "FILE.png")]
    picture: Option<PathBuf>,
}

/// How channels are weighed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Method {
    /// By the mean of their gradients
    GradCam,
    /// So that the map adds up to what the network responds by; not for networks with attention
    RespondCam,
}

impl Explain {
    pub fn run(&self, global: &Global, console: &Console, run_file: &RunFile) -> Result<()> {
        self.check()?;
        let outputs = [Some(&self.output), self.picture.as_ref()];
        outputs::check(outputs.into_iter().flatten().map(PathBuf::as_path), global.force)?;
        let session = Session::start(global, console)?;
        let model = session.context.model_load(&self.model)?;
        let options = self.options(&model.info()?)?;
        let boxes = Boxes::open(&self.boxes, console)?;
        let which = self.which(&boxes)?;

        let shape = boxes.shape();
        let n_voxels: usize = shape.iter().product();
        let mut stack = mrc::Writer::create(&self.output, shape, boxes.voxel_size())?;
        let mut rows = Vec::new();
        for_chunks(
            &session,
            &boxes,
            Which::These(&which),
            "explaining",
            |volume, hooks| model.grad_cam(volume, &options, hooks),
            |indices, maps| {
                for (&index, map) in indices.iter().zip(maps.chunks(n_voxels)) {
                    let view = volume(map, shape)?;
                    stack.push(view)?;
                    if self.picture.is_some() && rows.len() < MAX_PICTURED {
                        let voxels = boxes.read([index])?;
                        let voxels = volume(&voxels, shape)?;
                        let mut row = Vec::from(slices::slices(voxels, None));
                        let over = Some((view, slices::greatest(map)));
                        row.extend(slices::slices(voxels, over));
                        rows.push(row);
                    }
                }
                Ok(())
            },
        )?;
        stack.finish()?;
        run_file.write(&self.output)?;
        let mut text = format!("{}: {} maps\n", self.output.display(), which.len());
        if let Some(path) = &self.picture {
            let longest = shape.into_iter().max().unwrap_or(1).max(1);
            let picture = Image::montage(&rows, SLICE_PIXELS.div_ceil(longest), 4);
            cinetomo_formats::write(path, &picture.png()?)?;
            text += &format!("{}: a picture of {}\n", path.display(), rows.len());
        }
        let json = json!({
            "output": self.output, "picture": self.picture, "n": which.len(), "n_pictured": rows.len(),
        });
        console.result(&text, &json)
    }

    fn check(&self) -> Result<()> {
        let expected = |option: &str, path: &PathBuf, extensions: &[&str]| {
            if extensions.contains(&outputs::extension(path).as_str()) {
                return Ok(());
            }
            let known = extensions.join(" or .");
            Err(Failure::Usage(format!("{option} {}: expected a .{known}", path.display())))
        };
        expected("--output", &self.output, &["mrcs", "mrc"])?;
        self.picture.as_ref().map_or(Ok(()), |path| expected("--picture", path, &["png"]))
    }

    fn options(&self, info: &ModelInfo) -> Result<GradCamOptions> {
        let class_index = match &self.class {
            None => None,
            Some(name) => {
                Some(info.class_names.iter().position(|known| known == name).ok_or_else(|| {
                    let known = info.class_names.join(", ");
                    Failure::Usage(format!("--class {name}: the model's classes are {known}"))
                })?)
            }
        };
        let method = match self.method {
            Method::GradCam => cinetomo_cam_method::GradCam,
            Method::RespondCam => cinetomo_cam_method::RespondCam,
        };
        Ok(GradCamOptions { stage: self.stage.clone(), class_index, method, rectify: None })
    }

    /// Indices of the boxes that were asked for.
    fn which(&self, boxes: &Boxes) -> Result<Vec<usize>> {
        if self.which.is_empty() {
            return Ok((0..boxes.len()).collect());
        }
        let n = boxes.len();
        let index = |&number: &usize| {
            number.checked_sub(1).filter(|&index| index < n).ok_or_else(|| {
                Failure::Usage(format!("--which {number}: boxes are numbered from 1 to {n}"))
            })
        };
        self.which.iter().map(index).collect()
    }
}

/// These voxels as a volume.
pub fn volume(voxels: &[f32], shape: [usize; 3]) -> Result<ArrayView3<'_, f32>> {
    ArrayView3::from_shape(shape, voxels).map_err(|error| Failure::Error(error.to_string()))
}
