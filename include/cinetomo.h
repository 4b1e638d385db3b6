/*
 * cinetomo: subtomogram classification with 3D networks initialised from video.
 *
 * A subtomogram is a small cube of voxels around one macromolecule in a cryo-electron tomogram. This library takes a
 * network that was trained on video, fine-tunes it on a few labelled subtomograms, and says which class every other
 * one belongs to, with probabilities.
 *
 *     cinetomo_context *context = NULL;
 *     cinetomo_model *video = NULL, *tuned = NULL;
 *     cinetomo_error *error = NULL;
 *
 *     cinetomo_model_options options;
 *     cinetomo_model_options_init(&options, sizeof options);
 *     options.n_classes = 7;
 *
 *     cinetomo_volume boxes;
 *     cinetomo_volume_init(&boxes, sizeof boxes);
 *     boxes.data = voxels;                                   // float voxels[70][32][32][32], z slowest
 *     boxes.shape[0] = 70;
 *     boxes.shape[1] = boxes.shape[2] = boxes.shape[3] = 32;
 *
 *     if (cinetomo_context_new(NULL, &context, &error) ||
 *         cinetomo_model_from_video(context, "i3d-kinetics-400.ckpt", &options, NULL, &video, &error) ||
 *         cinetomo_model_fine_tune(video, &boxes, labels, 70, NULL, NULL, &tuned, &error) ||
 *         cinetomo_model_save(tuned, "tuned.safetensors", &error))
 *         fprintf(stderr, "%s\n", cinetomo_error_message(error));
 *
 * Link with -lcinetomo, or load the library at run time and ask cinetomo_get_api(CINETOMO_ABI_VERSION) for the table of
 * all functions. The rules that hold for every function:
 *
 *  1. Ownership. What a function stores through `out_*` as a handle is the caller's and is freed once with the `_free`
 *     of its type; `_free(NULL)` does nothing. What goes in is borrowed for the call, and never written, kept or freed
 *     (log sinks and their user data are kept by the context and its models). Results go to the caller's buffers: with
 *     `capacity` 0 a function writes the length that is needed to `*out_len`, returns OK and does nothing else. Handles
 *     are checked: one that was freed, or is of another type, is an error and not a crash.
 *  2. Errors. A function that can fail returns a CINETOMO_STATUS_* as int32_t, 0 = OK. If `out_error` is not NULL,
 *     `*out_error` is set: to NULL on success, otherwise to an error that the caller frees. On failure no other output
 *     is written, except `*out_len` with BUFFER_TOO_SMALL. Messages say what was wrong, the values, and what would be
 *     right; they are for people and may change. Status numbers do not.
 *  3. Threads. Any function may be called from any thread, several at once. Calls on one model take turns; calls on
 *     different models run in parallel. Nothing is tied to the thread that made it.
 *  4. Callbacks run on the thread that made the call, before it returns and never after. They must not throw or
 *     longjmp. They may call the library, but not for the model that is at work: that is an error.
 *  5. CUDA buffers. The caller has finished writing to them; all work on them is done when the call returns.
 *  6. Text and paths are UTF-8, NUL-terminated.
 *  7. After fork() the child gets UNSUPPORTED from every call that can fail. Start a new program instead.
 *  8. The library stays loaded until the process ends, also after dlclose. It has no global logger, installs no signal
 *     handlers, writes nothing to stdout or stderr, changes no environment variable, and leaves the host's OpenMP
 *     thread count as it was.
 *  9. Structs. One that starts with `struct_size` is filled by its `_init` function, which is given the size that the
 *     caller was compiled with: programs built against an older header keep working. Choices are int32_t that hold
 *     one of the constants named in the field's description; an unknown number is an error. Reserved fields are 0.
 * 10. Labels. One int32_t a subtomogram: its class, counted from 0, or -1 for none. A subtomogram without label is left
 *     out as if it were not there; its voxels are not even read. Any other number is an error that names its place, and
 *     so is work that needs labels and finds none; training needs two classes. The only example of a class is trained on
 *     and never held out. A class may be missing among the held-out: their accuracy then says nothing of it, and means
 *     over classes (balanced accuracy, F1, AUC) leave it out. A class without any example cannot be learnt. Classes of
 *     very different sizes are warned of; what to do about them is `balance` of cinetomo_fine_tune_options.
 * 11. The end. exit() may be called, and main may return, at any time: while other threads are in the library, in a callback,
 *     with live handles. An exit handler of the library stops the calls as a cancel flag does and waits until they have
 *     left, which takes a batch, at most 30 seconds; 1 second for callbacks, and one that returns later still never gets
 *     back to the host. Calls that begin later, in the host's own exit handlers and destructors, get UNSUPPORTED, and what
 *     they free stays. Finish what must be finished before. A part of what libtorch sets up in the first batch of a
 *     kind may still go before that handler comes: where exit() could fall into it, cancel the call and wait first.
 *
 * Functions are marked with the threads that may call them, in brackets at the end.
 */

#ifndef CINETOMO_H
#define CINETOMO_H

/* Generated from src/abi and src/plugin/boundary by `make header`: change it there. */

#include <stddef.h>
#include <stdint.h>

/**
 * Version of the contract in this header. `cinetomo_get_api` takes it, and refuses a version it does not serve.
 */
#define CINETOMO_ABI_VERSION 1

/**
 * Ways to vary training subtomograms; add them up.
 */
typedef enum cinetomo_augment {
  /**
   * None.
   */
  CINETOMO_AUGMENT_NONE = 0,
  /**
   * Each axis mirrored with probability 1/2. Keeps the missing wedge in place; mirror images of the particles
   * themselves are allowed, as handedness is not resolved at these resolutions.
   */
  CINETOMO_AUGMENT_MIRROR = 1,
  /**
   * With probability 1/2 a part of the sections, 1/2 to all of their area, stretched to the whole: the same of every
   * section (paper, section 4.3.1; torchvision's RandomResizedCrop).
   */
  CINETOMO_AUGMENT_CROP = 2,
  /**
   * With probability 1/2 the sections turned by up to 45 degrees, shifted by up to a tenth of their edge and scaled by
   * up to a tenth: all sections alike (paper, section 4.3.1). Turns the missing wedge, too.
   */
  CINETOMO_AUGMENT_AFFINE = 4,
  /**
   * The sections turned by up to 10 degrees, which leaves the missing wedge about where it is.
   */
  CINETOMO_AUGMENT_ROTATE = 8,
  /**
   * White noise of up to a tenth of the grey range.
   */
  CINETOMO_AUGMENT_NOISE = 16,
  /**
   * Grey values stretched by up to a tenth about the middle of their range and shifted by up to a tenth of it.
   */
  CINETOMO_AUGMENT_INTENSITY = 32,
  /**
   * A further missing wedge, of a tilt range of 40 to 60 degrees about an axis of any direction in the sections.
   */
  CINETOMO_AUGMENT_WEDGE = 64,
  /**
   * Each subtomogram mixed with another, and their labels alike (Zhang et al. 2018, alpha 0.2).
   */
  CINETOMO_AUGMENT_MIXUP = 128,
} cinetomo_augment;

/**
 * An axis of a subtomogram, in the order of `shape`.
 */
typedef enum cinetomo_axis {
  /**
   * `shape[1]`: the slowest axis, the section axis of an MRC file.
   */
  CINETOMO_AXIS_Z = 0,
  /**
   * `shape[2]`.
   */
  CINETOMO_AXIS_Y = 1,
  /**
   * `shape[3]`: the fastest axis.
   */
  CINETOMO_AXIS_X = 2,
} cinetomo_axis;

/**
 * What is done about classes of different sizes.
 */
typedef enum cinetomo_balance {
  /**
   * Nothing.
   */
  CINETOMO_BALANCE_NONE = 0,
  /**
   * Each subtomogram's loss counts in inverse proportion to the size of its class (scikit-learn's "balanced").
   */
  CINETOMO_BALANCE_WEIGHTS = 1,
  /**
   * Each epoch draws as many subtomograms of every class: those of small classes several times, not all of large ones.
   */
  CINETOMO_BALANCE_SAMPLING = 2,
} cinetomo_balance;

/**
 * What becomes of the running statistics of BatchNorm. It means nothing to a network without BatchNorm (the
 * transformers).
 */
typedef enum cinetomo_batch_norm {
  /**
   * TRAINED for a fresh network, but FROZEN for one fresh from video that is tuned for fewer than 16 epochs: as
   * measured. For one already fine-tuned as in its last fine-tuning (FROZEN after RECALIBRATED).
   */
  CINETOMO_BATCH_NORM_AUTO = 0,
  /**
   * Kept as they are, and used while training.
   */
  CINETOMO_BATCH_NORM_FROZEN = 1,
  /**
   * Estimated once on the training subtomograms, then kept.
   */
  CINETOMO_BATCH_NORM_RECALIBRATED = 2,
  /**
   * Batch statistics while training, running averages of them from the first batch on (the paper's code, which
   * starts from the network's own).
   */
  CINETOMO_BATCH_NORM_TRAINED = 3,
} cinetomo_batch_norm;

/**
 * How the channels of a stage's map are weighed into a map of evidence.
 */
typedef enum cinetomo_cam_method {
  /**
   * By the mean gradient of the class's logit (Selvaraju et al. 2017); made for any network.
   */
  CINETOMO_CAM_METHOD_GRAD_CAM = 0,
  /**
   * So that the map adds up to what the logit responds by (Zhao et al. 2018); made for subtomograms and for stages
   * whose values are never negative: all of the networks with convolutions, none of those with attention.
   */
  CINETOMO_CAM_METHOD_RESPOND_CAM = 1,
} cinetomo_cam_method;

/**
 * Sign of the particles against their surroundings.
 */
typedef enum cinetomo_contrast {
  /**
   * Not stated.
   */
  CINETOMO_CONTRAST_UNKNOWN = 0,
  /**
   * Dark particles on a bright background, as tomograms are reconstructed.
   */
  CINETOMO_CONTRAST_DARK = 1,
  /**
   * Bright particles on a dark background, as RELION and Warp export them.
   */
  CINETOMO_CONTRAST_BRIGHT = 2,
} cinetomo_contrast;

/**
 * Where a context computes.
 */
typedef enum cinetomo_device {
  /**
   * CUDA where it is usable, the CPU otherwise.
   */
  CINETOMO_DEVICE_AUTO = 0,
  /**
   * The CPU.
   */
  CINETOMO_DEVICE_CPU = 1,
  /**
   * An NVIDIA GPU; fails with CINETOMO_STATUS_DEVICE_UNAVAILABLE where that is not possible.
   */
  CINETOMO_DEVICE_CUDA = 2,
} cinetomo_device;

/**
 * Type of a voxel.
 */
typedef enum cinetomo_dtype {
  /**
   * IEEE 754 binary32 (MRC mode 2).
   */
  CINETOMO_DTYPE_F32 = 0,
  /**
   * IEEE 754 binary16 (MRC mode 12).
   */
  CINETOMO_DTYPE_F16 = 1,
  /**
   * Unsigned byte.
   */
  CINETOMO_DTYPE_U8 = 2,
  /**
   * Signed byte (MRC mode 0).
   */
  CINETOMO_DTYPE_I8 = 3,
  /**
   * Unsigned 16-bit integer (MRC mode 6).
   */
  CINETOMO_DTYPE_U16 = 4,
  /**
   * Signed 16-bit integer (MRC mode 1).
   */
  CINETOMO_DTYPE_I16 = 5,
} cinetomo_dtype;

/**
 * How the head, the last linear layer, starts.
 */
typedef enum cinetomo_head {
  /**
   * RANDOM for a fresh network, but PROBE for one fresh from video that is tuned for fewer than 16 epochs: as
   * measured; or that has no BatchNorm. KEEP for one already fine-tuned.
   */
  CINETOMO_HEAD_AUTO = 0,
  /**
   * As the model has it.
   */
  CINETOMO_HEAD_KEEP = 1,
  /**
   * Random numbers.
   */
  CINETOMO_HEAD_RANDOM = 2,
  /**
   * L2-regularised logistic regression on the fixed features (with CINETOMO_AUGMENT_MIRROR also those of the mirror
   * images), its strength chosen by cross-validation: first probe, then fine-tune (Kumar et al. 2022).
   */
  CINETOMO_HEAD_PROBE = 3,
  /**
   * PROBE of the output of every stage, averaged over its positions; the stage that cross-validates best is taken, of equal
   * ones the last, and the new model does without those after it: it is smaller, faster, and stays so. Its history has
   * the accuracy of each. What was chosen among many looks a little better than it is.
   */
  CINETOMO_HEAD_PROBE_STAGES = 4,
} cinetomo_head;

/**
 * How subtomograms are resized along y and x (and along z, linearly between sections).
 */
typedef enum cinetomo_interpolation {
  /**
   * Cubic convolution with a = -0.5 and half-pixel centres, widened when shrinking: Pillow's BICUBIC.
   */
  CINETOMO_INTERPOLATION_BICUBIC = 0,
  /**
   * Linear.
   */
  CINETOMO_INTERPOLATION_LINEAR = 1,
  /**
   * Nearest neighbour.
   */
  CINETOMO_INTERPOLATION_NEAREST = 2,
} cinetomo_interpolation;

/**
 * How severe a log message is; a sink receives its own level and everything more severe (smaller numbers).
 */
typedef enum cinetomo_log_level {
  /**
   * Nothing is logged.
   */
  CINETOMO_LOG_LEVEL_OFF = 0,
  /**
   * The call fails.
   */
  CINETOMO_LOG_LEVEL_ERROR = 1,
  /**
   * The call goes on, but the user should know.
   */
  CINETOMO_LOG_LEVEL_WARN = 2,
  /**
   * What was chosen and measured, a few lines a call.
   */
  CINETOMO_LOG_LEVEL_INFO = 3,
  /**
   * Detail for a developer.
   */
  CINETOMO_LOG_LEVEL_DEBUG = 4,
  /**
   * Everything.
   */
  CINETOMO_LOG_LEVEL_TRACE = 5,
} cinetomo_log_level;

/**
 * What happens to boxes that reach beyond the tomogram.
 */
typedef enum cinetomo_edge {
  /**
   * What is missing becomes the mean of what is there.
   */
  CINETOMO_EDGE_PAD = 0,
  /**
   * They are left out.
   */
  CINETOMO_EDGE_SKIP = 1,
  /**
   * The call fails and names the first of them.
   */
  CINETOMO_EDGE_FAIL = 2,
} cinetomo_edge;

/**
 * Where a buffer lives; the numbers are those of DLPack.
 */
typedef enum cinetomo_memory {
  /**
   * Memory of the process.
   */
  CINETOMO_MEMORY_CPU = 1,
  /**
   * Memory of a CUDA device.
   */
  CINETOMO_MEMORY_CUDA = 2,
} cinetomo_memory;

/**
 * How grey values are brought into the network's range.
 */
typedef enum cinetomo_normalization {
  /**
   * Each subtomogram's minimum and maximum become the lowest and highest grey value of the network's videos.
   */
  CINETOMO_NORMALIZATION_MIN_MAX = 0,
  /**
   * Each subtomogram gets mean 0 and standard deviation 1.
   */
  CINETOMO_NORMALIZATION_Z_SCORE = 1,
  /**
   * As MIN_MAX between two percentiles of each subtomogram, clipped: robust to hot voxels.
   */
  CINETOMO_NORMALIZATION_PERCENTILE = 2,
  /**
   * Each subtomogram's minimum and maximum become 0 and 1, whatever the network's videos had: the paper's code, which
   * fed weights of videos from about -115 to 155 so. Its text says nothing.
   */
  CINETOMO_NORMALIZATION_UNIT = 3,
  /**
   * Grey values minus `fixed_mean`, divided by `fixed_deviation`: the same for all subtomograms, for scales that mean
   * something and for the paper's MedMNIST sets.
   */
  CINETOMO_NORMALIZATION_FIXED = 4,
} cinetomo_normalization;

/**
 * The rule that turns gradients into steps.
 */
typedef enum cinetomo_optimizer {
  /**
   * Adam (Kingma & Ba 2015); weight decay is added to the gradient.
   */
  CINETOMO_OPTIMIZER_ADAM = 0,
  /**
   * AdamW (Loshchilov & Hutter 2019): decoupled weight decay.
   */
  CINETOMO_OPTIMIZER_ADAM_W = 1,
  /**
   * Stochastic gradient descent with momentum; weight decay is added to the gradient (paper, eq. 1-2).
   */
  CINETOMO_OPTIMIZER_SGD = 2,
} cinetomo_optimizer;

/**
 * What a subtomogram is for; see `cinetomo_split`.
 */
typedef enum cinetomo_part {
  /**
   * Nothing: it has no label, or no part wants it.
   */
  CINETOMO_PART_NONE = 0,
  /**
   * To train on.
   */
  CINETOMO_PART_TRAINING = 1,
  /**
   * To choose and to calibrate by.
   */
  CINETOMO_PART_VALIDATION = 2,
  /**
   * To measure on, once, when everything is chosen.
   */
  CINETOMO_PART_TEST = 3,
} cinetomo_part;

/**
 * In what precision a context's networks multiply. Weights, features, heads, optimisers and losses are single-precision
 * numbers throughout.
 */
typedef enum cinetomo_precision {
  /**
   * Single.
   */
  CINETOMO_PRECISION_F32 = 0,
  /**
   * What convolutions and matrix products take is rounded to bfloat16, as PyTorch's autocast does: half the memory and, where
   * the device has instructions for it (GPUs of compute capability 8 on, CPUs with AVX512-BF16 or AMX), less time.
   * Features change by about a hundredth. Fails with CINETOMO_STATUS_DEVICE_UNAVAILABLE on older GPUs.
   */
  CINETOMO_PRECISION_BF16 = 1,
  /**
   * BF16 on GPUs of compute capability 8 on, F32 elsewhere. Not measured on a GPU, and so not the default.
   */
  CINETOMO_PRECISION_AUTO = 2,
} cinetomo_precision;

/**
 * Ways to train that have a name, for `cinetomo_fine_tune_options_preset`.
 */
typedef enum cinetomo_preset {
  /**
   * What was measured to be best at few labels: the same as `cinetomo_fine_tune_options_init`.
   */
  CINETOMO_PRESET_DEFAULT = 0,
  /**
   * The paper's training of a video network (section 4.3.2): 30 epochs at 1e-4, a tenth of it after 15 and after 22, batches
   * of 16 (the paper has 32 from a quarter of its labels on), CROP and AFFINE, random head, BatchNorm TRAINED. Adam as in
   * the paper's code, where its text describes SGD.
   */
  CINETOMO_PRESET_PAPER_VIDEO = 1,
  /**
   * The paper's training of random numbers: 100 epochs at 1e-3, a tenth of it after 50 and after 75; else the same.
   */
  CINETOMO_PRESET_PAPER_RANDOM = 2,
  /**
   * No training: logistic regression on the features of the network as it is, of the stage where they tell most
   * (PROBE_STAGES).
   */
  CINETOMO_PRESET_PROBE = 3,
} cinetomo_preset;

/**
 * What keeps the weights near those that the training starts from.
 */
typedef enum cinetomo_regularizer {
  /**
   * Nothing.
   */
  CINETOMO_REGULARIZER_NONE = 0,
  /**
   * Half the strength times the squared distance of the backbone's weights from their start, added to the loss: L2-SP
   * (Li, Grandvalet & Davoine 2018, eq. 2-3); the head has the weight decay.
   */
  CINETOMO_REGULARIZER_L2_SP = 1,
  /**
   * After every step the weights of each layer are moved back towards their start, all by one factor, until those of no
   * output differ from it by more than the strength in the sum of absolute values: the maximum absolute row sum of MARS
   * (Gouk, Hospedales & Pontil 2021).
   */
  CINETOMO_REGULARIZER_MARS = 2,
  /**
   * Half the strength times the squared difference of the feature maps of some stages (`regularizer_stages`) from those of
   * the network that the training starts from, added to the loss; and half the strength times the squared weights of the
   * head: DELTA (Li et al. 2019). Each channel counts by how much the loss grows without it, measured before the first
   * epoch on up to 32 training subtomograms with the head of a linear probe: the softmax over the channels of a stage,
   * times their number. Differences are averaged over the positions, where the paper adds them up.
   *
   * Keeps a second network and computes it in every step. To weigh the channels costs one pass through what follows a
   * stage for each of its channels: for I3D three seconds of a core a subtomogram of 32 voxels an edge.
   */
  CINETOMO_REGULARIZER_DELTA = 3,
  /**
   * The same, all channels alike: nothing is measured.
   */
  CINETOMO_REGULARIZER_DELTA_UNIFORM = 4,
} cinetomo_regularizer;

/**
 * Rules by which `cinetomo_model_predict` gives no class; add them up. Each has a threshold that was chosen on labelled
 * subtomograms; see `cinetomo_calibration_options`.
 */
typedef enum cinetomo_reject {
  /**
   * None: every subtomogram gets its most probable class.
   */
  CINETOMO_REJECT_NONE = 0,
  /**
   * The most probable class is not probable enough: likely mistakes.
   */
  CINETOMO_REJECT_PROBABILITY = 1,
  /**
   * The embedding is too far from those of all classes in the training (Mahalanobis distance, Lee et al. 2018): what
   * belongs to none of the classes.
   */
  CINETOMO_REJECT_DISTANCE = 2,
} cinetomo_reject;

/**
 * How a box is sampled between the voxels of the tomogram.
 */
typedef enum cinetomo_resampling {
  /**
   * All frequencies that tomogram and box can both hold, unweakened, shifted and rescaled in Fourier space. The box is
   * taken with 16 voxels around it.
   */
  CINETOMO_RESAMPLING_FOURIER = 0,
  /**
   * Trilinear: quick, weakens fine detail; not for boxes of much larger voxels, where it aliases.
   */
  CINETOMO_RESAMPLING_LINEAR = 1,
  /**
   * Positions are rounded to voxels, and voxels copied. Cannot change the voxel size.
   */
  CINETOMO_RESAMPLING_NEAREST = 2,
} cinetomo_resampling;

/**
 * How the learning rate changes over the training.
 */
typedef enum cinetomo_schedule {
  /**
   * Half a cosine from the learning rate to 0, step by step (Loshchilov & Hutter 2017, no restarts).
   */
  CINETOMO_SCHEDULE_COSINE = 0,
  /**
   * Multiplied by `gamma` after each epoch listed in `milestones` (the paper's choice).
   */
  CINETOMO_SCHEDULE_STEP = 1,
  /**
   * Never changes.
   */
  CINETOMO_SCHEDULE_CONSTANT = 2,
} cinetomo_schedule;

/**
 * What a long call is doing.
 */
typedef enum cinetomo_stage {
  /**
   * Reading a checkpoint or model file.
   */
  CINETOMO_STAGE_LOAD = 0,
  /**
   * Computing the fixed features that the linear probe is fitted on.
   */
  CINETOMO_STAGE_FEATURES = 1,
  /**
   * Fitting the linear probe.
   */
  CINETOMO_STAGE_PROBE = 2,
  /**
   * Estimating BatchNorm statistics on the caller's subtomograms.
   */
  CINETOMO_STAGE_RECALIBRATE = 3,
  /**
   * Fine-tuning.
   */
  CINETOMO_STAGE_TRAIN = 4,
  /**
   * Scoring the validation subtomograms.
   */
  CINETOMO_STAGE_VALIDATE = 5,
  /**
   * Classifying.
   */
  CINETOMO_STAGE_CLASSIFY = 6,
  /**
   * Computing embeddings.
   */
  CINETOMO_STAGE_EMBED = 7,
  /**
   * Simulating subtomograms or a tomogram.
   */
  CINETOMO_STAGE_SIMULATE = 8,
  /**
   * Picking particles.
   */
  CINETOMO_STAGE_PICK = 9,
  /**
   * Cutting boxes out of a tomogram.
   */
  CINETOMO_STAGE_EXTRACT = 10,
  /**
   * Computing where in the box the evidence for a class lies.
   */
  CINETOMO_STAGE_EXPLAIN = 11,
  /**
   * Mapping embeddings into the plane.
   */
  CINETOMO_STAGE_PROJECT = 12,
} cinetomo_stage;

/**
 * What a call came to. Codes are never renumbered; new ones are appended.
 */
typedef enum cinetomo_status {
  /**
   * Done.
   */
  CINETOMO_STATUS_OK = 0,
  /**
   * A required pointer is NULL.
   */
  CINETOMO_STATUS_NULL_ARGUMENT = 1,
  /**
   * An argument has a value that makes no sense here; the message says which values do.
   */
  CINETOMO_STATUS_INVALID_ARGUMENT = 2,
  /**
   * The caller's buffer is smaller than the result; `*out_len` holds the length that is needed.
   */
  CINETOMO_STATUS_BUFFER_TOO_SMALL = 3,
  /**
   * The request is sound but this library, build or process cannot serve it.
   */
  CINETOMO_STATUS_UNSUPPORTED = 4,
  /**
   * A voxel, weight or loss is NaN or infinite.
   */
  CINETOMO_STATUS_NON_FINITE = 5,
  /**
   * A file could not be read or written.
   */
  CINETOMO_STATUS_IO = 6,
  /**
   * A file is not what it claims to be, or is damaged.
   */
  CINETOMO_STATUS_FORMAT = 7,
  /**
   * A checkpoint or model file does not fit the network, or a volume does not fit the model.
   */
  CINETOMO_STATUS_MODEL_MISMATCH = 8,
  /**
   * The device that was asked for is not usable; the message says what is missing.
   */
  CINETOMO_STATUS_DEVICE_UNAVAILABLE = 9,
  /**
   * Memory ran out, on the host or on the device.
   */
  CINETOMO_STATUS_OUT_OF_MEMORY = 10,
  /**
   * A hook or a `cinetomo_cancel` stopped the call.
   */
  CINETOMO_STATUS_CANCELLED = 11,
  /**
   * Another copy of libtorch is already in the process.
   */
  CINETOMO_STATUS_RUNTIME_CONFLICT = 12,
  /**
   * libtorch failed in a way that no other code describes.
   */
  CINETOMO_STATUS_BACKEND = 13,
  /**
   * A defect in cinetomo; the host is safe, the call did nothing. Please report the message.
   */
  CINETOMO_STATUS_PANIC = 14,
} cinetomo_status;

/**
 * Which peaks of the filtered tomogram count as particles. t is the option `threshold`.
 */
typedef enum cinetomo_threshold_rule {
  /**
   * Those of at least m + t (M - m) / 20, m and M being the lowest and the highest score of all peaks (Pei et al.
   * 2016, the paper's pipeline). A single very dense object, such as a gold bead, raises it for all.
   */
  CINETOMO_THRESHOLD_RULE_PEAK_RANGE = 0,
  /**
   * Those of at least the median of all scores plus t times 1.4826 times their median absolute deviation: t standard
   * deviations, for most of the peaks are noise. Hardly changed by a few very dense objects; but where a third of the
   * peaks are particles, as in a crowded tomogram under wide Gaussians, 3 leaves out many of them.
   */
  CINETOMO_THRESHOLD_RULE_DEVIATIONS = 1,
  /**
   * Those whose score is at least t.
   */
  CINETOMO_THRESHOLD_RULE_SCORE = 2,
} cinetomo_threshold_rule;

/**
 * A flag that any thread may raise to stop a running call. Freed with `cinetomo_cancel_free`.
 */
typedef struct cinetomo_cancel cinetomo_cancel;

/**
 * Device, threads and log sink, shared by the models made from it. Freed with `cinetomo_context_free`; models
 * keep what they need of it, so it may be freed before them.
 */
typedef struct cinetomo_context cinetomo_context;

/**
 * Why a call failed: a status and a full message. Owned by the caller once stored, freed with `cinetomo_error_free`.
 */
typedef struct cinetomo_error cinetomo_error;

/**
 * A network with its preprocessing and class names. Immutable: fine-tuning returns a new one.
 * Freed with `cinetomo_model_free`.
 */
typedef struct cinetomo_model cinetomo_model;

/**
 * What `cinetomo_model_calibrate` and `cinetomo_model_fine_tune` learn on labelled subtomograms that the model was not
 * trained on. Fill with `cinetomo_calibration_options_init`, then change what you need.
 */
typedef struct cinetomo_calibration_options {
  /**
   * `sizeof(cinetomo_calibration_options)` as the caller was compiled; set by the `_init`.
   */
  size_t struct_size;
  /**
   * Wanted fraction of the accepted subtomograms that is classified correctly, above 0 and at most 1: the threshold
   * accepts as many as that allows. 0 (default) = not asked.
   */
  double precision;
  /**
   * Wanted fraction of the subtomograms that is accepted, above 0 and at most 1: the threshold is as strict as that
   * allows, or with a wanted precision the least that may be accepted. 0 (default) = 0.95 if no precision is wanted.
   */
  double coverage;
  /**
   * 1 (default) = find the temperature, one number that all logits are divided by so that probabilities say how often
   * the model is right (Guo et al. 2017); 0 = leave it at 1. It changes no class.
   */
  int32_t temperature;
  /**
   * Sum of `CINETOMO_REJECT_*`: rules that get a threshold. Default: PROBABILITY. DISTANCE needs class means, which
   * only a fine-tuning with this rule computes.
   */
  int32_t reject;
} cinetomo_calibration_options;

/**
 * A threshold of a rule and what it did on the labelled subtomograms that it was chosen on. Never grows.
 */
typedef struct cinetomo_threshold {
  /**
   * The last value that is accepted; NaN = the rule has no threshold.
   */
  double value;
  /**
   * Subtomograms that it accepts.
   */
  int64_t n_accepted;
  /**
   * Those of them that are classified correctly.
   */
  int64_t n_correct;
  /**
   * 95 % interval of the precision for so many subtomograms (Wilson 1927). The threshold was chosen on them, so expect
   * the lower half.
   */
  double precision_low;
  /**
   * Its upper end.
   */
  double precision_high;
} cinetomo_threshold;

/**
 * How sure a model is, and what that rests on.
 */
typedef struct cinetomo_confidence {
  /**
   * In: `sizeof(cinetomo_confidence)` as the caller was compiled; set by the `_init`. Nothing beyond it is written.
   */
  size_t struct_size;
  /**
   * Labelled subtomograms that the model was calibrated on; 0 = it was not.
   */
  int64_t n_calibration;
  /**
   * What logits are divided by; 1 = the network's own.
   */
  double temperature;
  /**
   * Standard error of the temperature; NaN if none was found.
   */
  double temperature_error;
  /**
   * Mean of -ln of the probability of the label on those subtomograms at temperature 1, in nats; NaN = not calibrated.
   */
  double log_loss_before;
  /**
   * The same at the model's temperature.
   */
  double log_loss_after;
  /**
   * Lowest probability of the predicted class that CINETOMO_REJECT_PROBABILITY accepts.
   */
  struct cinetomo_threshold probability;
  /**
   * Greatest distance from the nearest class that CINETOMO_REJECT_DISTANCE accepts.
   */
  struct cinetomo_threshold distance;
  /**
   * Training subtomograms that the class means come from, which distances are measured from; 0 = there are none.
   */
  int64_t n_class_means;
} cinetomo_confidence;

/**
 * What `cinetomo_context_new` makes. Fill with `cinetomo_context_options_init`, then change what you need.
 */
typedef struct cinetomo_context_options {
  /**
   * `sizeof(cinetomo_context_options)` as the caller was compiled; set by the `_init`.
   */
  size_t struct_size;
  /**
   * A `CINETOMO_DEVICE_*`. Default: AUTO.
   */
  int32_t device;
  /**
   * Which GPU, counted from 0. Default: 0.
   */
  int32_t device_index;
  /**
   * CPU threads that a call may use; 0 (default) = one per core available to the process. The host's own OpenMP
   * setting is restored when a call returns.
   */
  int32_t n_threads;
  /**
   * A `CINETOMO_LOG_LEVEL_*`: what reaches `log`. Default: WARN.
   */
  int32_t log_level;
  /**
   * Receives one log line (UTF-8, no newline, valid during the callback) and its `CINETOMO_LOG_LEVEL_*`, always on
   * the thread that made the call; NULL (default) = no log. Must not throw or longjmp. The library itself never
   * writes to stdout or stderr.
   */
  void (*log)(void *user_data, int32_t level, const char *message);
  /**
   * Handed to `log` as it is. Must stay valid as long as the context and its models.
   */
  void *log_user_data;
  /**
   * A `CINETOMO_PRECISION_*`. Default: F32.
   */
  int32_t precision;
  /**
   * Zero.
   */
  int32_t reserved;
} cinetomo_context_options;

/**
 * How good scores are. Fill `struct_size` with `cinetomo_metrics_init`.
 */
typedef struct cinetomo_metrics {
  /**
   * In: `sizeof(cinetomo_metrics)` as the caller was compiled. Nothing beyond it is written.
   */
  size_t struct_size;
  /**
   * Subtomograms that counted: those whose label is not -1.
   */
  int64_t n_evaluated;
  /**
   * Fraction whose highest score is at the label; of equal scores the first counts. For probabilities of two classes
   * this is the accuracy at a threshold of 0.5.
   */
  double accuracy;
  /**
   * Area under the ROC curve, one class against the rest, mean over the classes: scikit-learn's
   * `roc_auc_score(multi_class="ovr", average="macro")`; with two classes the area for class 1. Classes without
   * examples, or with nothing but examples, are left out of the mean; NaN if none is left.
   */
  double macro_auc;
  /**
   * Mean recall of the classes that have examples.
   */
  double balanced_accuracy;
  /**
   * Mean F1 of the classes that have examples or were predicted.
   */
  double macro_f1;
  /**
   * Expected calibration error: mean distance between confidence and accuracy over 15 bins of equal width (Guo et al.
   * 2017), see `cinetomo_evaluate_reliability`. This and the next two are NaN unless each row consists of
   * probabilities: 0 to 1, adding up to 1.
   */
  double expected_calibration_error;
  /**
   * Brier score (1950): squared differences between probabilities and truth, added over the classes, 0 to 2.
   */
  double brier_score;
  /**
   * Mean of -ln of the probability of the label, in nats; a probability below 2.2e-16 counts as that.
   */
  double log_loss;
  /**
   * For two classes, else NaN: the accuracy at the threshold on the score of class 1 that gives the highest accuracy on
   * these very labels. Optimistic: no other data would reach it. Here because the paper reports its binary sets so.
   */
  double best_threshold_accuracy;
  /**
   * That threshold: scores of class 1 from it on count as class 1; infinite = none does.
   */
  double best_threshold;
} cinetomo_metrics;

/**
 * One class against the rest. What would be 0 / 0 is NaN. Never grows.
 */
typedef struct cinetomo_class_metrics {
  /**
   * Subtomograms with this label.
   */
  int64_t n_examples;
  /**
   * Subtomograms whose highest score is at this class.
   */
  int64_t n_predicted;
  /**
   * Of those predicted, the fraction that has this label.
   */
  double precision;
  /**
   * Of those with this label, the fraction that was predicted.
   */
  double recall;
  /**
   * Harmonic mean of precision and recall.
   */
  double f1;
  /**
   * Area under the ROC curve of this class's score; NaN unless there are examples and counterexamples.
   */
  double auc;
} cinetomo_class_metrics;

/**
 * The subtomograms whose highest probability is above `low` and at most `high`. Never grows.
 */
typedef struct cinetomo_reliability_bin {
  /**
   * Lower end, excluded (0 itself belongs to the first bin).
   */
  double low;
  /**
   * Upper end, included.
   */
  double high;
  /**
   * Number of these subtomograms.
   */
  int64_t n;
  /**
   * Mean of their highest probabilities; NaN if there are none.
   */
  double confidence;
  /**
   * Fraction of them whose highest probability is at the label; NaN if there are none.
   */
  double accuracy;
} cinetomo_reliability_bin;

/**
 * A point of a ROC curve: what counting scores from `threshold` on as the class comes to. Never grows.
 */
typedef struct cinetomo_roc_point {
  /**
   * The lowest score that counts; infinite in the first point, where none does.
   */
  double threshold;
  /**
   * Fraction of the other subtomograms that count as the class.
   */
  double false_positive_rate;
  /**
   * Fraction of the class's subtomograms that count as it.
   */
  double true_positive_rate;
} cinetomo_roc_point;

/**
 * How `cinetomo_model_fine_tune` trains. Fill with `cinetomo_fine_tune_options_init`, then change what you need.
 */
typedef struct cinetomo_fine_tune_options {
  /**
   * `sizeof(cinetomo_fine_tune_options)` as the caller was compiled; set by the `_init`.
   */
  size_t struct_size;
  /**
   * Initial learning rate; 0 (default) = the library's choice: with Adam the network's own where BatchNorm is TRAINED
   * (1e-3 for I3D) or there is none (3e-5 from video), else 3e-5; with SGD 1e-2 and 1e-3.
   */
  double learning_rate;
  /**
   * Momentum of SGD, from 0 up to but not including 1. Default: 0.9.
   */
  double momentum;
  /**
   * Weight decay, at least 0. Default: 0.
   */
  double weight_decay;
  /**
   * Factor of the STEP schedule, above 0. Default: 0.1.
   */
  double gamma;
  /**
   * Epochs after which the STEP schedule multiplies by `gamma`, rising, or NULL.
   */
  const int32_t *milestones;
  /**
   * Number of milestones.
   */
  size_t n_milestones;
  /**
   * Fraction of each class held out to watch, choose and calibrate by, from 0 (default: none) to 0.5.
   */
  double validation_fraction;
  /**
   * Seed of shuffling, splitting, augmentation and the random head. Same seed, same result on the CPU. Default: 0.
   */
  uint64_t seed;
  /**
   * Passes over the training subtomograms, 0 to 100,000; 0 = only the head's start. Default: 24.
   */
  int32_t n_epochs;
  /**
   * Subtomograms per step. Default: 10.
   */
  int32_t batch_size;
  /**
   * Stages, counted from the input, that stay as they are. Default: 0.
   */
  int32_t n_frozen_stages;
  /**
   * A `CINETOMO_OPTIMIZER_*`. Default: ADAM.
   */
  int32_t optimizer;
  /**
   * A `CINETOMO_SCHEDULE_*`. Default: COSINE.
   */
  int32_t schedule;
  /**
   * A `CINETOMO_BATCH_NORM_*`. Default: AUTO.
   */
  int32_t batch_norm;
  /**
   * A `CINETOMO_HEAD_*`. Default: AUTO.
   */
  int32_t head;
  /**
   * Sum of `CINETOMO_AUGMENT_*`. Default: MIRROR.
   */
  int32_t augment;
  /**
   * With validation: 1 (default) = return the epoch with the best validation accuracy (ties: lower loss; epoch 0,
   * the start, takes part), 0 = return the last. A few dozen subtomograms choose badly, and what chose the epoch calibrates
   * badly: with so few, 0 was better (benches/record/confidence.md).
   */
  int32_t select_best;
  /**
   * A `CINETOMO_REGULARIZER_*`. Default: NONE.
   */
  int32_t regularizer;
  /**
   * Strength of the regulariser, above 0. Default: 0.01.
   */
  double regularizer_strength;
  /**
   * Part of each label that is spread evenly over all classes, from 0 (default) up to but not including 1 (Szegedy et
   * al. 2016).
   */
  double label_smoothing;
  /**
   * Factor from the learning rate of a stage to that of the stage before it, above 0 and at most 1 (default); the head
   * has the full rate (discriminative fine-tuning, Howard & Ruder 2018).
   */
  double stage_rate_decay;
  /**
   * Where the state of the training is kept after every `checkpoint_interval` epochs, or NULL (default). If the file is
   * there already and is of the same training (options, model, voxels, labels), the training goes on from it and gives
   * the very weights of one that was never stopped; if it is of another, the call fails. The file remains.
   */
  const char *checkpoint;
  /**
   * A `CINETOMO_BALANCE_*`. Default: NONE.
   */
  int32_t balance;
  /**
   * Subtomograms computed at once; 0 (default) = all of a step. A step with more of them adds up their gradients; BatchNorm
   * sees these only. Halved by itself when memory runs out.
   */
  int32_t micro_batch_size;
  /**
   * Epochs without a better validation after which the training ends; 0 (default) = never.
   */
  int32_t patience;
  /**
   * Epochs that the STEP schedule counts as one, at least 1 (default). The paper's code counts validations, every 10 epochs,
   * on real data; its text counts epochs.
   */
  int32_t schedule_interval;
  /**
   * Epochs from one checkpoint to the next, at least 1 (default).
   */
  int32_t checkpoint_interval;
  /**
   * Zero.
   */
  int32_t reserved;
  /**
   * What is learnt on the validation subtomograms when the training is over, for `cinetomo_model_classify` and
   * `cinetomo_model_predict`; NULL (default) = the defaults of `cinetomo_calibration_options_init`. Without validation
   * nothing is, but for the class means that distances are measured from.
   */
  const struct cinetomo_calibration_options *calibration;
  /**
   * Names of the stages whose feature maps DELTA compares, with commas between them, such as "layer3,layer4"; NULL
   * (default) = the last four that have maps and are not frozen. Stages are named in `cinetomo_model_info`. Given with
   * another regulariser, the call fails.
   */
  const char *regularizer_stages;
} cinetomo_fine_tune_options;

/**
 * Versions, paths and devices. Every string is valid for the life of the process.
 */
typedef struct cinetomo_runtime_info {
  /**
   * In: `sizeof(cinetomo_runtime_info)` as the caller was compiled; set by the `_init`. Nothing beyond it is written.
   */
  size_t struct_size;
  /**
   * Version of cinetomo, such as "0.1.0".
   */
  const char *version;
  /**
   * Version of libtorch that cinetomo was compiled against, such as "2.13.0".
   */
  const char *libtorch_version;
  /**
   * The `libtorch_cpu.so` in this process.
   */
  const char *libtorch_path;
  /**
   * The `libtorch_cuda.so` beside it; "" where this is a CPU-only install.
   */
  const char *cuda_path;
  /**
   * Version of the NVIDIA driver's CUDA, such as "13.0"; "" without a driver.
   */
  const char *cuda_driver;
  /**
   * One sentence: what computes here, or what is missing for CUDA.
   */
  const char *summary;
  /**
   * Version of the contract, `CINETOMO_ABI_VERSION`.
   */
  uint32_t abi_version;
  /**
   * CPU cores available to the process.
   */
  int32_t n_cores;
  /**
   * 1 once the CUDA part of libtorch is loaded, else 0. It is loaded only when a context wants CUDA.
   */
  int32_t cuda_loaded;
  /**
   * Usable CUDA devices; 0 while the CUDA part is not loaded.
   */
  int32_t n_cuda_devices;
} cinetomo_runtime_info;

/**
 * Where a long call stands. Valid only during the callback that receives it.
 */
typedef struct cinetomo_progress {
  /**
   * Size of this struct as the library knows it. Read no field beyond it.
   */
  size_t struct_size;
  /**
   * What is being done: a `CINETOMO_STAGE_*`.
   */
  int32_t stage;
  /**
   * Epoch, counted from 1; 0 outside training.
   */
  int32_t epoch;
  /**
   * Number of epochs; 0 outside training.
   */
  int32_t n_epochs;
  /**
   * Batch within the epoch or call, counted from 1.
   */
  int32_t step;
  /**
   * Number of batches in the epoch or call.
   */
  int32_t n_steps;
  /**
   * Zero.
   */
  int32_t reserved;
  /**
   * How much of the whole call is done, from 0 to 1; never goes back within a call.
   */
  double fraction;
  /**
   * Mean cross-entropy over the epoch so far, in nats; NaN where no loss is computed.
   */
  double loss;
  /**
   * Fraction of the epoch's training subtomograms classified correctly so far; NaN outside training.
   */
  double accuracy;
  /**
   * Accuracy on the validation subtomograms after the last finished epoch; NaN before it, or without validation.
   */
  double validation_accuracy;
} cinetomo_progress;

/**
 * How the host follows and stops a long call. All zero (after `cinetomo_hooks_init`) means: silently, to the end.
 */
typedef struct cinetomo_hooks {
  /**
   * `sizeof(cinetomo_hooks)` as the caller was compiled; set by `cinetomo_hooks_init`.
   */
  size_t struct_size;
  /**
   * Handed to `progress` as it is.
   */
  void *user_data;
  /**
   * Called now and then during long work, or NULL. Always on the thread that made the call, never after the call
   * returned. Returns 0 to go on, anything else to stop with CINETOMO_STATUS_CANCELLED. Must not throw or longjmp,
   * and must not free what the running call uses. `progress` is valid during the callback only.
   */
  int32_t (*progress)(void *user_data, const struct cinetomo_progress *progress);
  /**
   * Cancel flag, or NULL. Checked at least once per batch.
   */
  const struct cinetomo_cancel *cancel;
} cinetomo_hooks;

/**
 * A batch of subtomograms in the caller's memory: borrowed for one call, never written, kept or freed.
 * Fill with `cinetomo_volume_init`, then set at least `data` and `shape`.
 */
typedef struct cinetomo_volume {
  /**
   * `sizeof(cinetomo_volume)` as the caller was compiled; set by `cinetomo_volume_init`.
   */
  size_t struct_size;
  /**
   * First voxel, aligned to its type.
   */
  const void *data;
  /**
   * Bytes readable at `data`. If not 0, shape and strides are checked against it. Default: 0 = not stated.
   */
  size_t data_bytes;
  /**
   * n, z, y, x: number of subtomograms and voxels along each axis. All at least 1.
   */
  int64_t shape[4];
  /**
   * Distance between neighbours along n, z, y, x, in voxels, not bytes; all 0 (default) = contiguous, x fastest.
   * Negative strides are refused; stride 0 along an axis repeats it.
   */
  int64_t strides[4];
  /**
   * Edge of a voxel in angstrom; 0 (default) = unknown.
   */
  double voxel_size;
  /**
   * A `CINETOMO_DTYPE_*`. Default: F32.
   */
  int32_t dtype;
  /**
   * A `CINETOMO_MEMORY_*`. Default: CPU.
   */
  int32_t memory;
  /**
   * Which CUDA device, for CINETOMO_MEMORY_CUDA. Default: 0.
   */
  int32_t memory_index;
  /**
   * A `CINETOMO_CONTRAST_*`. Default: UNKNOWN.
   */
  int32_t contrast;
  /**
   * The axis along the electron beam, a `CINETOMO_AXIS_*`: it becomes the time axis of the video network.
   * Default: Z, as in tomograms on disk.
   */
  int32_t beam_axis;
  /**
   * Zero.
   */
  int32_t reserved;
} cinetomo_volume;

/**
 * What happens to voxels before they reach the network. Part of the model and of its file: training and
 * classification share it. Fill with `cinetomo_preprocess_init`.
 */
typedef struct cinetomo_preprocess {
  /**
   * `sizeof(cinetomo_preprocess)` as the caller was compiled; set by the `_init`.
   */
  size_t struct_size;
  /**
   * Network input along z (beam), y, x; 0 (default) = as the subtomograms come. The paper's text has 32, 128, 128; its code
   * leaves the sections as many as they are: 0, 128, 128.
   */
  int64_t input_size[3];
  /**
   * Lower percentile, from 0 to 100, for CINETOMO_NORMALIZATION_PERCENTILE. Default: 0.5.
   */
  double percentile_low;
  /**
   * Upper percentile. Default: 99.5.
   */
  double percentile_high;
  /**
   * A `CINETOMO_NORMALIZATION_*`. Default: MIN_MAX.
   */
  int32_t normalization;
  /**
   * A `CINETOMO_INTERPOLATION_*`. Default: BICUBIC.
   */
  int32_t interpolation;
  /**
   * Contrast that the network sees, a `CINETOMO_CONTRAST_*`. UNKNOWN (default) = as the volumes come; otherwise
   * volumes of the opposite stated contrast are negated first.
   */
  int32_t contrast;
  /**
   * Mirror images of each subtomogram whose probabilities classification averages: 1 (itself), 4 (itself and its
   * rotations by 180 degrees about the axes) or 8 (these and their mirror images; default). Takes as many times
   * longer, and is worth several points of accuracy where labels are few: particles lie in all orientations.
   */
  int32_t n_views;
  /**
   * Grey value that CINETOMO_NORMALIZATION_FIXED makes 0. Default: 0.
   */
  double fixed_mean;
  /**
   * Difference of grey values that CINETOMO_NORMALIZATION_FIXED makes 1, above 0. Default: 1.
   */
  double fixed_deviation;
} cinetomo_preprocess;

/**
 * What network to make. Fill with `cinetomo_model_options_init`, then set at least `n_classes`.
 */
typedef struct cinetomo_model_options {
  /**
   * `sizeof(cinetomo_model_options)` as the caller was compiled; set by the `_init`.
   */
  size_t struct_size;
  /**
   * Name of the network, "i3d"; NULL (default) = recognised from the checkpoint, "i3d" for random models.
   */
  const char *backbone;
  /**
   * `n_classes` distinct, non-empty names, or NULL (default) for "class_0", "class_1", ...
   */
  const char *const *class_names;
  /**
   * Number of classes, at least 2.
   */
  size_t n_classes;
  /**
   * Preprocessing, or NULL (default) for the defaults of `cinetomo_preprocess_init`.
   */
  const struct cinetomo_preprocess *preprocess;
  /**
   * Seed of the random head (and of the whole network for `cinetomo_model_random`). Default: 0.
   */
  uint64_t seed;
  /**
   * Dropout probability before the head while training, from 0 up to but not including 1. Default: 0.
   */
  double dropout;
} cinetomo_model_options;

/**
 * What a model is. Every pointer in it belongs to the model and is valid until the model is freed.
 */
typedef struct cinetomo_model_info {
  /**
   * In: `sizeof(cinetomo_model_info)` as the caller was compiled; set by the `_init`. Nothing beyond it is written.
   */
  size_t struct_size;
  /**
   * Name of the network, such as "i3d".
   */
  const char *backbone;
  /**
   * Names of the classes, `n_classes` of them; label i means the i-th.
   */
  const char *const *class_names;
  /**
   * Number of classes.
   */
  size_t n_classes;
  /**
   * Names of the network's stages from input to output, `n_stages` of them: what can be frozen.
   */
  const char *const *stage_names;
  /**
   * Number of stages.
   */
  size_t n_stages;
  /**
   * Length of an embedding.
   */
  int64_t n_features;
  /**
   * Trainable numbers in the network and its head.
   */
  int64_t n_parameters;
  /**
   * Network input along z, y, x; 0 = as the subtomograms come.
   */
  int64_t input_size[3];
  /**
   * Edge in angstrom of the voxels it was fine-tuned on; 0 = unknown.
   */
  double voxel_size;
  /**
   * Contrast of the volumes it was fine-tuned on, a `CINETOMO_CONTRAST_*`.
   */
  int32_t contrast;
  /**
   * Zero.
   */
  int32_t reserved;
  /**
   * SHA-256 of the video checkpoint, 64 lower-case hexadecimal digits; "" for a random start.
   */
  const char *checkpoint_sha256;
  /**
   * Everything that the model file says of the model, as JSON: preprocessing, options and history of the training.
   */
  const char *metadata_json;
} cinetomo_model_info;

/**
 * How `cinetomo_split` divides; fractions are of all labelled subtomograms of each class and add up to at most 1. Fill
 * with `cinetomo_split_options_init`, then change what you need.
 */
typedef struct cinetomo_split_options {
  /**
   * `sizeof(cinetomo_split_options)` as the caller was compiled; set by the `_init`.
   */
  size_t struct_size;
  /**
   * To train on. Default: 0.6. Where above 0, each class gets at least one.
   */
  double training_fraction;
  /**
   * To choose and to calibrate by. Default: 0.2.
   */
  double validation_fraction;
  /**
   * To measure on. Default: 0.2.
   */
  double test_fraction;
  /**
   * Seed. Default: 0.
   */
  uint64_t seed;
} cinetomo_split_options;

/**
 * Where `cinetomo_model_predict` writes: arrays of the caller for n subtomograms. Fill with `cinetomo_predictions_init`,
 * then set those that you want; NULL (default) = not wanted.
 */
typedef struct cinetomo_predictions {
  /**
   * `sizeof(cinetomo_predictions)` as the caller was compiled; set by the `_init`.
   */
  size_t struct_size;
  /**
   * Receives the class of each subtomogram, -1 where a rule rejects it; n of them.
   */
  int32_t *labels;
  /**
   * Numbers that fit at `labels`.
   */
  size_t labels_capacity;
  /**
   * Receives calibrated probabilities, as `cinetomo_model_classify`; n x n_classes of them.
   */
  float *probabilities;
  /**
   * Numbers that fit at `probabilities`.
   */
  size_t probabilities_capacity;
  /**
   * Receives the Mahalanobis distance of each subtomogram from the nearest class; n of them. For models that were
   * fine-tuned with CINETOMO_REJECT_DISTANCE.
   */
  float *distances;
  /**
   * Numbers that fit at `distances`.
   */
  size_t distances_capacity;
} cinetomo_predictions;

/**
 * What `cinetomo_model_grad_cam` explains, and how. Fill with `cinetomo_grad_cam_options_init`, then change what you need.
 */
typedef struct cinetomo_grad_cam_options {
  /**
   * `sizeof(cinetomo_grad_cam_options)` as the caller was compiled; set by the `_init`.
   */
  size_t struct_size;
  /**
   * Name of the stage whose map is weighed, one of `stage_names` in `cinetomo_model_info`; NULL (default) = "layer3" of
   * the ResNets, the paper's, and a comparable one of other networks.
   */
  const char *stage;
  /**
   * The class, counted from 0; -1 (default) = for each subtomogram the one that `cinetomo_model_classify` finds most
   * probable.
   */
  int32_t class_index;
  /**
   * A `CINETOMO_CAM_METHOD_*`. Default: GRAD_CAM.
   */
  int32_t method;
  /**
   * 1 = evidence against the class is cut off at 0; 0 = it stays, as negative numbers; -1 (default) = as published: 1
   * for GRAD_CAM, 0 for RESPOND_CAM.
   */
  int32_t rectify;
  /**
   * Zero.
   */
  int32_t reserved;
} cinetomo_grad_cam_options;

/**
 * Every function of ABI 1, as `cinetomo_get_api(1)` returns it: for hosts that load the library at run time and
 * would rather look up one symbol than forty. Each entry is the function `cinetomo_<entry>` of this header.
 * Entries are only ever appended: read none beyond `struct_size`. Valid for the life of the process.
 */
typedef struct cinetomo_api {
  /**
   * Size of this table as the library knows it.
   */
  size_t struct_size;
  /**
   * See `cinetomo_abi_version`.
   */
  uint32_t (*abi_version)(void);
  /**
   * See `cinetomo_version`.
   */
  const char *(*version)(void);
  /**
   * See `cinetomo_get_extension`.
   */
  const void *(*get_extension)(const char *id);
  /**
   * See `cinetomo_status_name`.
   */
  const char *(*status_name)(int32_t status);
  /**
   * See `cinetomo_error_status`.
   */
  int32_t (*error_status)(const struct cinetomo_error *error);
  /**
   * See `cinetomo_error_message`.
   */
  const char *(*error_message)(const struct cinetomo_error *error);
  /**
   * See `cinetomo_error_free`.
   */
  void (*error_free)(struct cinetomo_error *error);
  /**
   * See `cinetomo_runtime_info_init`.
   */
  int32_t (*runtime_info_init)(struct cinetomo_runtime_info *out_info, size_t struct_size);
  /**
   * See `cinetomo_runtime_info_get`.
   */
  int32_t (*runtime_info_get)(struct cinetomo_runtime_info *out_info,
                              struct cinetomo_error **out_error);
  /**
   * See `cinetomo_context_options_init`.
   */
  int32_t (*context_options_init)(struct cinetomo_context_options *out_options, size_t struct_size);
  /**
   * See `cinetomo_context_new`.
   */
  int32_t (*context_new)(const struct cinetomo_context_options *options,
                         struct cinetomo_context **out_context,
                         struct cinetomo_error **out_error);
  /**
   * See `cinetomo_context_free`.
   */
  void (*context_free)(struct cinetomo_context *context);
  /**
   * See `cinetomo_hooks_init`.
   */
  int32_t (*hooks_init)(struct cinetomo_hooks *out_hooks, size_t struct_size);
  /**
   * See `cinetomo_cancel_new`.
   */
  int32_t (*cancel_new)(struct cinetomo_cancel **out_cancel, struct cinetomo_error **out_error);
  /**
   * See `cinetomo_cancel_raise`.
   */
  void (*cancel_raise)(const struct cinetomo_cancel *cancel);
  /**
   * See `cinetomo_cancel_free`.
   */
  void (*cancel_free)(struct cinetomo_cancel *cancel);
  /**
   * See `cinetomo_volume_init`.
   */
  int32_t (*volume_init)(struct cinetomo_volume *out_volume, size_t struct_size);
  /**
   * See `cinetomo_preprocess_init`.
   */
  int32_t (*preprocess_init)(struct cinetomo_preprocess *out_preprocess, size_t struct_size);
  /**
   * See `cinetomo_model_options_init`.
   */
  int32_t (*model_options_init)(struct cinetomo_model_options *out_options, size_t struct_size);
  /**
   * See `cinetomo_model_from_video`.
   */
  int32_t (*model_from_video)(const struct cinetomo_context *context,
                              const char *checkpoint_path,
                              const struct cinetomo_model_options *options,
                              const struct cinetomo_hooks *hooks,
                              struct cinetomo_model **out_model,
                              struct cinetomo_error **out_error);
  /**
   * See `cinetomo_model_random`.
   */
  int32_t (*model_random)(const struct cinetomo_context *context,
                          const struct cinetomo_model_options *options,
                          struct cinetomo_model **out_model,
                          struct cinetomo_error **out_error);
  /**
   * See `cinetomo_fine_tune_options_init`.
   */
  int32_t (*fine_tune_options_init)(struct cinetomo_fine_tune_options *out_options,
                                    size_t struct_size);
  /**
   * See `cinetomo_model_fine_tune`.
   */
  int32_t (*model_fine_tune)(const struct cinetomo_model *model,
                             const struct cinetomo_volume *subtomograms,
                             const int32_t *labels,
                             size_t n_labels,
                             const struct cinetomo_fine_tune_options *options,
                             const struct cinetomo_hooks *hooks,
                             struct cinetomo_model **out_model,
                             struct cinetomo_error **out_error);
  /**
   * See `cinetomo_model_classify`.
   */
  int32_t (*model_classify)(const struct cinetomo_model *model,
                            const struct cinetomo_volume *subtomograms,
                            const struct cinetomo_hooks *hooks,
                            float *out_probabilities,
                            size_t capacity,
                            size_t *out_len,
                            struct cinetomo_error **out_error);
  /**
   * See `cinetomo_model_embed`.
   */
  int32_t (*model_embed)(const struct cinetomo_model *model,
                         const struct cinetomo_volume *subtomograms,
                         const struct cinetomo_hooks *hooks,
                         float *out_embeddings,
                         size_t capacity,
                         size_t *out_len,
                         struct cinetomo_error **out_error);
  /**
   * See `cinetomo_model_save`.
   */
  int32_t (*model_save)(const struct cinetomo_model *model,
                        const char *path,
                        struct cinetomo_error **out_error);
  /**
   * See `cinetomo_model_load`.
   */
  int32_t (*model_load)(const struct cinetomo_context *context,
                        const char *path,
                        struct cinetomo_model **out_model,
                        struct cinetomo_error **out_error);
  /**
   * See `cinetomo_model_info_init`.
   */
  int32_t (*model_info_init)(struct cinetomo_model_info *out_info, size_t struct_size);
  /**
   * See `cinetomo_model_info_get`.
   */
  int32_t (*model_info_get)(const struct cinetomo_model *model,
                            struct cinetomo_model_info *out_info,
                            struct cinetomo_error **out_error);
  /**
   * See `cinetomo_model_free`.
   */
  void (*model_free)(struct cinetomo_model *model);
  /**
   * See `cinetomo_metrics_init`.
   */
  int32_t (*metrics_init)(struct cinetomo_metrics *out_metrics, size_t struct_size);
  /**
   * See `cinetomo_evaluate`.
   */
  int32_t (*evaluate)(const float *probabilities,
                      size_t n_probabilities,
                      const int32_t *labels,
                      size_t n_labels,
                      size_t n_classes,
                      struct cinetomo_metrics *out_metrics,
                      int64_t *out_confusion,
                      size_t capacity,
                      size_t *out_len,
                      struct cinetomo_error **out_error);
  /**
   * See `cinetomo_fine_tune_options_preset`.
   */
  int32_t (*fine_tune_options_preset)(struct cinetomo_fine_tune_options *out_options,
                                      size_t struct_size,
                                      int32_t preset);
  /**
   * See `cinetomo_evaluate_classes`.
   */
  int32_t (*evaluate_classes)(const float *probabilities,
                              size_t n_probabilities,
                              const int32_t *labels,
                              size_t n_labels,
                              size_t n_classes,
                              struct cinetomo_class_metrics *out_classes,
                              size_t capacity,
                              size_t *out_len,
                              struct cinetomo_error **out_error);
  /**
   * See `cinetomo_evaluate_roc`.
   */
  int32_t (*evaluate_roc)(const float *probabilities,
                          size_t n_probabilities,
                          const int32_t *labels,
                          size_t n_labels,
                          size_t n_classes,
                          size_t class_index,
                          struct cinetomo_roc_point *out_points,
                          size_t capacity,
                          size_t *out_len,
                          struct cinetomo_error **out_error);
  /**
   * See `cinetomo_evaluate_reliability`.
   */
  int32_t (*evaluate_reliability)(const float *probabilities,
                                  size_t n_probabilities,
                                  const int32_t *labels,
                                  size_t n_labels,
                                  size_t n_classes,
                                  size_t n_bins,
                                  struct cinetomo_reliability_bin *out_bins,
                                  size_t capacity,
                                  size_t *out_len,
                                  struct cinetomo_error **out_error);
  /**
   * See `cinetomo_split_options_init`.
   */
  int32_t (*split_options_init)(struct cinetomo_split_options *out_options, size_t struct_size);
  /**
   * See `cinetomo_split`.
   */
  int32_t (*split)(const int32_t *labels,
                   const int32_t *groups,
                   size_t n_labels,
                   const struct cinetomo_split_options *options,
                   int32_t *out_parts,
                   size_t capacity,
                   size_t *out_len,
                   struct cinetomo_error **out_error);
  /**
   * See `cinetomo_calibration_options_init`.
   */
  int32_t (*calibration_options_init)(struct cinetomo_calibration_options *out_options,
                                      size_t struct_size);
  /**
   * See `cinetomo_model_calibrate`.
   */
  int32_t (*model_calibrate)(const struct cinetomo_model *model,
                             const struct cinetomo_volume *subtomograms,
                             const int32_t *labels,
                             size_t n_labels,
                             const struct cinetomo_calibration_options *options,
                             const struct cinetomo_hooks *hooks,
                             struct cinetomo_model **out_model,
                             struct cinetomo_error **out_error);
  /**
   * See `cinetomo_confidence_init`.
   */
  int32_t (*confidence_init)(struct cinetomo_confidence *out_confidence, size_t struct_size);
  /**
   * See `cinetomo_model_confidence_get`.
   */
  int32_t (*model_confidence_get)(const struct cinetomo_model *model,
                                  struct cinetomo_confidence *out_confidence,
                                  struct cinetomo_error **out_error);
  /**
   * See `cinetomo_predictions_init`.
   */
  int32_t (*predictions_init)(struct cinetomo_predictions *out_predictions, size_t struct_size);
  /**
   * See `cinetomo_model_predict`.
   */
  int32_t (*model_predict)(const struct cinetomo_model *model,
                           const struct cinetomo_volume *subtomograms,
                           int32_t reject,
                           const struct cinetomo_hooks *hooks,
                           const struct cinetomo_predictions *out_predictions,
                           struct cinetomo_error **out_error);
  /**
   * See `cinetomo_weights_inspect`.
   */
  int32_t (*weights_inspect)(const char *path,
                             char *out_json,
                             size_t capacity,
                             size_t *out_len,
                             struct cinetomo_error **out_error);
  /**
   * See `cinetomo_memory_estimate`.
   */
  int32_t (*memory_estimate)(const struct cinetomo_model *model,
                             int64_t z,
                             int64_t y,
                             int64_t x,
                             int64_t batch_size,
                             int32_t stage,
                             uint64_t *out_bytes,
                             struct cinetomo_error **out_error);
  /**
   * See `cinetomo_grad_cam_options_init`.
   */
  int32_t (*grad_cam_options_init)(struct cinetomo_grad_cam_options *out_options, size_t struct_size);
  /**
   * See `cinetomo_model_grad_cam`.
   */
  int32_t (*model_grad_cam)(const struct cinetomo_model *model,
                            const struct cinetomo_volume *subtomograms,
                            const struct cinetomo_grad_cam_options *options,
                            const struct cinetomo_hooks *hooks,
                            float *out_maps,
                            size_t capacity,
                            size_t *out_len,
                            struct cinetomo_error **out_error);
  /**
   * See `cinetomo_preprocess_preset`.
   */
  int32_t (*preprocess_preset)(struct cinetomo_preprocess *out_preprocess,
                               size_t struct_size,
                               int32_t preset);
} cinetomo_api;

/**
 * Subtomograms that the caller fetches when they are wanted. Fill with `dataset_init`, then set at least `read` and
 * `shape`. Borrowed for one call.
 *
 * No more than two batches of voxels are in memory at once: one that is worked on, and the next, which is fetched
 * meanwhile. A training fetches every subtomogram once an epoch, for a linear probe once for each mirror image that it
 * sees, and once more to know it again where it keeps a checkpoint and `identity` is NULL.
 */
typedef struct cinetomo_dataset {
  /**
   * `sizeof(cinetomo_dataset)` as the caller was compiled; set by `dataset_init`.
   */
  size_t struct_size;
  /**
   * Fetches the subtomograms `indices`, each from 0 to `shape[0]` - 1, into `out_voxels`: one after the other in that
   * order, `shape[1]` * `shape[2]` * `shape[3]` voxels each, x fastest. The buffer comes full of NaN, so that what is
   * left unwritten is an error that names the subtomogram. An index may come several times in one call, and comes again
   * in others; its voxels must always be the same.
   *
   * Returns 0; or anything else to end the call with CINETOMO_STATUS_IO and, if it likes, why as UTF-8 in
   * `out_message`, which has `message_capacity` bytes and comes empty.
   *
   * Always called on the thread that made the call, never after it returned, once at a time; the network meanwhile
   * computes on another thread, which ends before the call returns. Must not throw or longjmp, nor use the model that
   * the call is made on.
   */
  int32_t (*read)(void *user_data,
                  const int64_t *indices,
                  size_t n_indices,
                  float *out_voxels,
                  char *out_message,
                  size_t message_capacity);
  /**
   * Handed to `read` as it is.
   */
  void *user_data;
  /**
   * What these voxels are to be known by when a training goes on from a checkpoint, such as a path with a date; NULL
   * (default) = by themselves: all that have a label are fetched and hashed first. With a name, nothing is, and it is
   * the caller who answers for voxels being those of that name. Labels and shape count in both cases.
   */
  const char *identity;
  /**
   * n, z, y, x: number of subtomograms, at most 2^31 - 1, and voxels along each axis, at most 1024. All at least 1.
   */
  int64_t shape[4];
  /**
   * Edge of a voxel in angstrom; 0 (default) = unknown.
   */
  double voxel_size;
  /**
   * A `CINETOMO_CONTRAST_*`. Default: UNKNOWN.
   */
  int32_t contrast;
  /**
   * The axis along the electron beam, a `CINETOMO_AXIS_*`. Default: Z.
   */
  int32_t beam_axis;
} cinetomo_dataset;

/**
 * The functions of `cinetomo.dataset/1`, from `cinetomo_get_extension`. Valid for the life of the process.
 *
 * Each does what its namesake does with a volume, with the same options, and on the CPU comes to the same result, bit by
 * bit. Errors are those of the namesake, and IO if `read` fails.
 */
typedef struct cinetomo_dataset_api {
  /**
   * Size of this table as the library knows it.
   */
  size_t struct_size;
  /**
   * Fills `dataset` with the defaults; `struct_size` is `sizeof *dataset`. [any thread]
   */
  int32_t (*dataset_init)(struct cinetomo_dataset *out_dataset, size_t struct_size);
  /**
   * `cinetomo_model_fine_tune`, with everything that it can: validation, probes, calibration, checkpoints. Beside the
   * voxels it keeps 4 bytes a label and, while a probe is fitted, the features of each subtomogram that it sees (4 kB
   * for I3D; of each stage, with PROBE_STAGES). [any thread; calls on one model take turns]
   */
  int32_t (*fine_tune)(const struct cinetomo_model *model,
                       const struct cinetomo_dataset *dataset,
                       const int32_t *labels,
                       size_t n_labels,
                       const struct cinetomo_fine_tune_options *options,
                       const struct cinetomo_hooks *hooks,
                       struct cinetomo_model **out_model,
                       struct cinetomo_error **out_error);
  /**
   * `cinetomo_model_calibrate`. [any thread; calls on one model take turns]
   */
  int32_t (*calibrate)(const struct cinetomo_model *model,
                       const struct cinetomo_dataset *dataset,
                       const int32_t *labels,
                       size_t n_labels,
                       const struct cinetomo_calibration_options *options,
                       const struct cinetomo_hooks *hooks,
                       struct cinetomo_model **out_model,
                       struct cinetomo_error **out_error);
  /**
   * `cinetomo_model_classify`. [any thread; calls on one model take turns]
   */
  int32_t (*classify)(const struct cinetomo_model *model,
                      const struct cinetomo_dataset *dataset,
                      const struct cinetomo_hooks *hooks,
                      float *out_probabilities,
                      size_t capacity,
                      size_t *out_len,
                      struct cinetomo_error **out_error);
} cinetomo_dataset_api;

/**
 * A tomogram in the caller's memory, or one that the caller reads piece by piece. Fill with `tomogram_init`, then set
 * either `voxels`, or `read`, `shape`, `voxel_size` and `contrast`.
 */
typedef struct cinetomo_tomogram {
  /**
   * `sizeof(cinetomo_tomogram)` as the caller was compiled; set by `tomogram_init`.
   */
  size_t struct_size;
  /**
   * The tomogram as a volume with n = 1, of any type and strides and any size; `beam_axis` does not matter. NULL
   * (default) = `read` fetches it.
   */
  const struct cinetomo_volume *voxels;
  /**
   * Fetches the box of `nz` x `ny` x `nx` voxels that begins at voxel `z0`, `y0`, `x0` into `out`, x fastest; boxes
   * lie within the tomogram. Returns 0, or anything else to stop the call with CINETOMO_STATUS_IO. Always called on
   * the thread that made the call, never after it returned, one box at a time; boxes may overlap. Must not throw or
   * longjmp. NULL (default) = the tomogram is in `voxels`.
   */
  int32_t (*read)(void *user_data,
                  int64_t z0,
                  int64_t y0,
                  int64_t x0,
                  int64_t nz,
                  int64_t ny,
                  int64_t nx,
                  float *out);
  /**
   * Handed to `read` as it is.
   */
  void *user_data;
  /**
   * Number of voxels along z, y, x, with `read`; at most 2^20. All 0 (default) with `voxels`.
   */
  int64_t shape[3];
  /**
   * Edge of a voxel in angstrom, with `read`; 0 (default) = unknown.
   */
  double voxel_size;
  /**
   * A `CINETOMO_CONTRAST_*`, with `read`. Default: UNKNOWN.
   */
  int32_t contrast;
  /**
   * Zero.
   */
  int32_t reserved;
} cinetomo_tomogram;

/**
 * How particles are picked. Fill with `pick_options_init`.
 *
 * The tomogram is filtered with two Gaussians of which one is a little wider; particles are the extrema of their
 * difference. The narrower one should fit the particles: its standard deviation is taken from `sigma`, else from
 * `particle_diameter`, else it is 70 angstrom, rounded down to voxels, and at least two voxels. That fits
 * particles of 250 angstrom, such as ribosomes; state the diameter of smaller ones.
 */
typedef struct cinetomo_pick_options {
  /**
   * `sizeof(cinetomo_pick_options)` as the caller was compiled; set by `pick_options_init`.
   */
  size_t struct_size;
  /**
   * Standard deviation of the narrower Gaussian in voxels, 0.5 to 100; 0 (default) = see above.
   */
  double sigma;
  /**
   * Diameter of the particles in angstrom: `sigma` becomes what a solid ball of that diameter answers most to, 0.29
   * diameters divided by the square root of `sigma_ratio`. 0 (default) = unknown. Needs the tomogram's voxel size.
   */
  double particle_diameter;
  /**
   * The wider Gaussian over the narrower one, above 1 and at most 10. Default: 1.1.
   */
  double sigma_ratio;
  /**
   * Smallest distance between two picks in voxels, up to 10,000: of two that are nearer, the one with the lower score
   * is dropped. 0 (default) = as `sigma`. The diameter of the particles is the most that makes sense.
   */
  double min_distance;
  /**
   * What `threshold_rule` makes a threshold of. Default: 3.
   */
  double threshold;
  /**
   * Most particles that are returned, the best ones: 1 to 10,000,000. Default: 1000.
   */
  int64_t n_max;
  /**
   * Voxels at the edge of the tomogram where nothing is picked, 0 to 10,000. Default: 0.
   */
  int64_t border;
  /**
   * Bytes that blocks of the tomogram may take at a time, at least 1 MiB; results do not depend on it. Default: 512
   * MiB. Besides, 28 bytes are taken for each peak, of which noise has about one in 30 sigma^3 voxels.
   */
  uint64_t max_memory;
  /**
   * A `CINETOMO_THRESHOLD_RULE_*`. Default: PEAK_RANGE.
   */
  int32_t threshold_rule;
  /**
   * Whether positions are refined to a fraction of a voxel (by a parabola along each axis), 0 or 1. Default: 1.
   */
  int32_t refine;
} cinetomo_pick_options;

/**
 * How boxes are cut out of a tomogram. Fill with `extract_options_init`.
 */
typedef struct cinetomo_extract_options {
  /**
   * `sizeof(cinetomo_extract_options)` as the caller was compiled; set by `extract_options_init`.
   */
  size_t struct_size;
  /**
   * Edge of the cubic boxes in voxels, 2 to 512. Default: 32. What is read for a box may be 320 voxels of the tomogram
   * along an edge.
   */
  int64_t box_size;
  /**
   * Edge of the boxes' voxels in angstrom, 1/16 to 16 times the tomogram's; 0 (default) = as the tomogram's.
   */
  double voxel_size;
  /**
   * A `CINETOMO_RESAMPLING_*`. Default: FOURIER.
   */
  int32_t resampling;
  /**
   * A `CINETOMO_EDGE_*`. Default: PAD.
   */
  int32_t edge;
  /**
   * Sign of the particles in the boxes, a `CINETOMO_CONTRAST_*`: voxels are negated if the tomogram states the other
   * one. UNKNOWN (default) = as in the tomogram.
   */
  int32_t contrast;
  /**
   * Zero.
   */
  int32_t reserved;
} cinetomo_extract_options;

/**
 * The functions of `cinetomo.pick/1`, from `cinetomo_get_extension`. Valid for the life of the process.
 */
typedef struct cinetomo_pick_api {
  /**
   * Size of this table as the library knows it.
   */
  size_t struct_size;
  /**
   * Fills `out_tomogram` with the defaults; `struct_size` is `sizeof *out_tomogram`. [any thread]
   */
  int32_t (*tomogram_init)(struct cinetomo_tomogram *out_tomogram, size_t struct_size);
  /**
   * Fills `out_options` with the defaults; `struct_size` is `sizeof *out_options`. [any thread]
   */
  int32_t (*pick_options_init)(struct cinetomo_pick_options *out_options, size_t struct_size);
  /**
   * Picks particles by difference of Gaussians, the best first. The tomogram's contrast must be known.
   *
   * `out_positions` receives z, y, x of each in voxels, counted from the centre of the first voxel; `out_scores`
   * receives how much brighter (or darker) than its surroundings each is in the filtered tomogram, more being
   * better; `*out_n` their number. `capacity` is the number of particles for which there is room: 3 x `capacity`
   * positions and `capacity` scores. It is at least `n_max`, or 0: then `*out_n` receives `n_max`, and nothing else
   * happens. Reading goes block by block through the tomogram, the surroundings of a block included. Filters run on
   * the context's device, the search for peaks on its threads. `options` and `hooks` may be NULL.
   *
   * Errors: NULL_ARGUMENT; INVALID_ARGUMENT; NON_FINITE names the voxel; BUFFER_TOO_SMALL; IO if `read` failed;
   * CANCELLED. [any thread]
   */
  int32_t (*pick)(const struct cinetomo_context *context,
                  const struct cinetomo_tomogram *tomogram,
                  const struct cinetomo_pick_options *options,
                  const struct cinetomo_hooks *hooks,
                  float *out_positions,
                  float *out_scores,
                  size_t capacity,
                  size_t *out_n,
                  struct cinetomo_error **out_error);
  /**
   * Fills `out_options` with the defaults; `struct_size` is `sizeof *out_options`. [any thread]
   */
  int32_t (*extract_options_init)(struct cinetomo_extract_options *out_options, size_t struct_size);
  /**
   * Cuts out boxes around particles: the position lies on voxel `box_size` / 2, rounded down, along each axis.
   *
   * `positions` holds z, y, x of `n_positions` particles, as `pick` writes them. `out_voxels` receives one box after
   * the other, x fastest; `*out_len` the number of voxels; with `capacity` 0 that is all that happens, and nothing is
   * read. `out_indices` receives for each box the index of its particle, which is of interest with
   * CINETOMO_EDGE_SKIP; it is NULL with `index_capacity` 0, or has room for `n_positions`. A position outside the
   * tomogram is an error, but for CINETOMO_EDGE_SKIP. Memory for the boxes is taken twice: many particles are best
   * cut out by a few thousand a call. `options` and `hooks` may be NULL.
   *
   * Errors: NULL_ARGUMENT; INVALID_ARGUMENT names the position; NON_FINITE names the box and the voxel;
   * BUFFER_TOO_SMALL; IO if `read` failed; CANCELLED. [any thread]
   */
  int32_t (*extract)(const struct cinetomo_context *context,
                     const struct cinetomo_tomogram *tomogram,
                     const float *positions,
                     size_t n_positions,
                     const struct cinetomo_extract_options *options,
                     const struct cinetomo_hooks *hooks,
                     float *out_voxels,
                     size_t capacity,
                     size_t *out_len,
                     int64_t *out_indices,
                     size_t index_capacity,
                     struct cinetomo_error **out_error);
} cinetomo_pick_api;

/**
 * How a map is made. Fill with `options_init` of the extension's table.
 */
typedef struct cinetomo_tsne_options {
  /**
   * `sizeof(cinetomo_tsne_options)` as the caller was compiled; set by `options_init`.
   */
  size_t struct_size;
  /**
   * About how many neighbours of an embedding count, from 1 to a third of the others; 0 (default) = 30, or as many as
   * the embeddings allow.
   */
  double perplexity;
  /**
   * Seed of the noise on the start. Same embeddings, same seed: same map, bit by bit. Default: 0.
   */
  uint64_t seed;
  /**
   * Iterations, at least 250. Default: 1000.
   */
  int32_t n_iterations;
  /**
   * Zero.
   */
  int32_t reserved;
} cinetomo_tsne_options;

/**
 * How well classes are apart in embeddings, without any training.
 */
typedef struct cinetomo_separation {
  /**
   * In: `sizeof(cinetomo_separation)` as the caller was compiled; set by `separation_init`. Nothing beyond it is written.
   */
  size_t struct_size;
  /**
   * Embeddings whose label is not -1.
   */
  int64_t n_evaluated;
  /**
   * Mean silhouette (Rousseeuw 1987), from -1 to 1: how much nearer an embedding is to its own class than to the next
   * one. NaN if there is one class, or each embedding is a class of its own.
   */
  double silhouette;
  /**
   * Fraction of the embeddings that the majority of its nearest neighbours, itself left out, classifies correctly.
   */
  double knn_accuracy;
} cinetomo_separation;

/**
 * The functions of `cinetomo.project2d/1`, from `cinetomo_get_extension`. Valid for the life of the process.
 */
typedef struct cinetomo_project2d_api {
  /**
   * Size of this table as the library knows it.
   */
  size_t struct_size;
  /**
   * Fills `options` with the defaults; `struct_size` is `sizeof *options`. [any thread]
   */
  int32_t (*options_init)(struct cinetomo_tsne_options *out_options, size_t struct_size);
  /**
   * Fills `separation` with that of nothing; `struct_size` is `sizeof *separation`. [any thread]
   */
  int32_t (*separation_init)(struct cinetomo_separation *out_separation, size_t struct_size);
  /**
   * Maps embeddings into the plane so that neighbours stay together: t-SNE with Barnes-Hut trees (van der Maaten 2014),
   * started from the first two principal components. Distances between groups, their sizes and the axes mean nothing.
   *
   * `embeddings` holds `n_values` numbers, one row of `n_features` each (as `cinetomo_model_embed` gives them).
   * `out_positions` receives a row of 2 numbers for each; `*out_len` their number; with `capacity` 0 that is all that
   * happens. `options` and `hooks` may be NULL. The map is computed by one thread, which ends before the call does.
   *
   * Errors: NULL_ARGUMENT; INVALID_ARGUMENT, among others if the perplexity is too large for so few embeddings (at
   * least 4); NON_FINITE names the embedding; BUFFER_TOO_SMALL; OUT_OF_MEMORY; CANCELLED. [any thread]
   */
  int32_t (*tsne)(const struct cinetomo_context *context,
                  const float *embeddings,
                  size_t n_values,
                  size_t n_features,
                  const struct cinetomo_tsne_options *options,
                  const struct cinetomo_hooks *hooks,
                  float *out_positions,
                  size_t capacity,
                  size_t *out_len,
                  struct cinetomo_error **out_error);
  /**
   * Tells how well the classes `labels` (one for each embedding, -1 = left out) are apart. `n_neighbors` vote, at least
   * 1 and fewer than there are labels; 5 is usual.
   *
   * Errors: as `tsne`; INVALID_ARGUMENT too if the sizes do not fit. [any thread]
   */
  int32_t (*separation)(const struct cinetomo_context *context,
                        const float *embeddings,
                        size_t n_values,
                        size_t n_features,
                        const int32_t *labels,
                        size_t n_labels,
                        size_t n_neighbors,
                        struct cinetomo_separation *out_separation,
                        struct cinetomo_error **out_error);
} cinetomo_project2d_api;

/**
 * How subtomograms and tomograms are simulated. Fill with `options_init` of the extension's table.
 *
 * A simulated volume is what a reconstruction shows of particles in ice: their densities, turned and moved, through
 * envelope and contrast transfer function, with noise from before and behind the lens, missing wedge and band limit.
 * SNR is the power of the signal over that of the noise in the finished volume. The noise's power is its variance; the
 * signal's is its variance over the box of a subtomogram, and in a tomogram its mean squared difference from the
 * tomogram's mean over the voxels within the particles' bounding spheres.
 */
typedef struct cinetomo_synthetic_options {
  /**
   * `sizeof(cinetomo_synthetic_options)` as the caller was compiled; set by `options_init`.
   */
  size_t struct_size;
  /**
   * Edge of the cubic subtomograms in voxels, 8 to 256. Default: 32. Unused for tomograms.
   */
  int64_t box_size;
  /**
   * Edge of a voxel in angstrom, 0.1 to 100. Default: 10.
   */
  double voxel_size;
  /**
   * Power of the signal over power of the noise, above 0; infinity = no noise. Default: 0.1.
   */
  double snr;
  /**
   * The tilt series runs from minus to plus this angle about the tilt axis, in degrees, above 0 and at most 90; what
   * it does not see is the missing wedge. Default: 60.
   */
  double tilt_range;
  /**
   * Largest random shift from the centre along each axis, in voxels, 0 to half the box. Default: 2. Unused for
   * tomograms.
   */
  double max_shift;
  /**
   * Underfocus in micrometre, 0 to 100; 0 = no contrast transfer function. Default: 5.
   */
  double defocus;
  /**
   * Acceleration voltage in kilovolt, 1 to 3000. Default: 300.
   */
  double voltage;
  /**
   * Spherical aberration in millimetre, 0 to 100. Default: 2.7.
   */
  double spherical_aberration;
  /**
   * Seed. Same seed, same subtomograms, on any number of threads. Default: 0.
   */
  uint64_t seed;
  /**
   * Sign of the particles, CINETOMO_CONTRAST_DARK (default) or CINETOMO_CONTRAST_BRIGHT.
   */
  int32_t contrast;
  /**
   * Zero.
   */
  int32_t reserved;
  /**
   * Envelope: the signal is multiplied by exp(-(f / (envelope * Nyquist))^2), f being the spatial frequency. 0 to
   * 100; 0 (default) = none.
   */
  double envelope;
  /**
   * Highest frequency that passes unweakened, in units of Nyquist's, 0 to 2; 0 (default) = no limit.
   */
  double band_limit;
  /**
   * How far beyond the band limit transmission falls to 1/e (as a Gaussian), in units of Nyquist's frequency, 0 to
   * 1; 0 (default) = at once.
   */
  double band_edge;
  /**
   * Share of the noise's variance that was there before the lens, so that the contrast transfer function and the
   * envelope shape it as they do the signal, 0 to 1. The rest is white but for `mtf`. Default: 0.
   */
  double noise_before;
  /**
   * What of a wave's amplitude the detector passes at Nyquist's frequency, above 0 and at most 1: noise from behind
   * the lens is multiplied by mtf^((f / Nyquist)^2). Default: 1.
   */
  double mtf;
  /**
   * Number of particles, of random densities, that are packed around the target of each subtomogram without overlap
   * of their bounding spheres, 0 to 32. Default: 0. Unused for tomograms.
   */
  int32_t n_neighbours;
  /**
   * The axis about which the specimen is tilted, a `CINETOMO_AXIS_*` other than `beam_axis`. Default: Y.
   */
  int32_t tilt_axis;
  /**
   * The axis along the electron beam, a `CINETOMO_AXIS_*`. Default: Z.
   */
  int32_t beam_axis;
  /**
   * Zero.
   */
  int32_t reserved_2;
} cinetomo_synthetic_options;

/**
 * A particle of a simulated subtomogram or tomogram: the ground truth. This struct does not grow.
 */
typedef struct cinetomo_synthetic_particle {
  /**
   * Where the centre of its density lies (voxel d / 2 of a density of d voxels, rounded down): z, y, x in voxels,
   * counted from the centre of the first voxel.
   */
  double position[3];
  /**
   * Rotation matrix, row by row, rows and columns in the order z, y, x: takes an offset from the centre of the
   * density to the offset from `position`.
   */
  double rotation[9];
  /**
   * Radius of its bounding sphere in voxels: the farthest voxel of the density with a tenth of its highest value.
   */
  double radius;
  /**
   * SNR, as measured, of the subtomogram or tomogram that it is in.
   */
  double snr;
  /**
   * Which density it is of.
   */
  int32_t label;
  /**
   * Zero.
   */
  int32_t reserved;
} cinetomo_synthetic_particle;

/**
 * The functions of `cinetomo.synthetic/1`, from `cinetomo_get_extension`. Valid for the life of the process.
 */
typedef struct cinetomo_synthetic_api {
  /**
   * Size of this table as the library knows it.
   */
  size_t struct_size;
  /**
   * Number of built-in phantoms: the seven classes of the paper's experimental data (Noble et al. 2018).
   * [any thread]
   */
  size_t (*n_phantoms)(void);
  /**
   * Name of a built-in phantom, valid for the life of the process; NULL if there is no such phantom. [any thread]
   */
  const char *(*phantom_name)(size_t phantom_index);
  /**
   * Fills `options` with the defaults; `struct_size` is `sizeof *options`. [any thread]
   */
  int32_t (*options_init)(struct cinetomo_synthetic_options *out_options, size_t struct_size);
  /**
   * Draws the density of a built-in phantom, centred and unrotated, into a cube of `box_size`^3 voxels, z slowest,
   * bright on zero. `*out_len` receives `box_size`^3; with `capacity` 0 that is all that happens. [any thread]
   */
  int32_t (*phantom_density)(size_t phantom_index,
                             int64_t box_size,
                             double voxel_size,
                             float *out_density,
                             size_t capacity,
                             size_t *out_len,
                             struct cinetomo_error **out_error);
  /**
   * Simulates one subtomogram for each label: the density of that index, randomly rotated and shifted, seen
   * through the contrast transfer function and the missing wedge (beam along z), with noise.
   *
   * `densities` holds one cubic density per class, bright on zero, at the voxel size of the options (n, z, y, x;
   * any dtype); NULL = the built-in phantoms. `hooks` and `options` may be NULL. `out_voxels` receives
   * `n_labels` x `box_size`^3 floats; `*out_len` their number; with `capacity` 0 that is all that happens.
   * [any thread]
   */
  int32_t (*simulate)(const struct cinetomo_context *context,
                      const struct cinetomo_volume *densities,
                      const int32_t *labels,
                      size_t n_labels,
                      const struct cinetomo_synthetic_options *options,
                      const struct cinetomo_hooks *hooks,
                      float *out_voxels,
                      size_t capacity,
                      size_t *out_len,
                      struct cinetomo_error **out_error);
  /**
   * Fills `options` with the settings of the simulator behind the paper's simulated data (Liu et al. 2020, BMC
   * Bioinformatics 21:399): 32 voxels of 10 angstrom, a target up to 8 voxels off the centre among 4 neighbours, tilt
   * range 60 degrees, 300 kV, 2 mm, 5 micrometre, envelope 0.4, band limit 0.5, half of the noise from before the
   * lens, SNR 0.03, bright. `struct_size` is `sizeof *options`. [any thread]
   */
  int32_t (*options_init_liu_2020)(struct cinetomo_synthetic_options *out_options,
                                   size_t struct_size);
  /**
   * As `simulate`, and says what is in the subtomograms: `out_particles` receives 1 + `n_neighbours` particles for
   * each, the target first; neighbours may lie partly or wholly outside the box. It is NULL with
   * `particle_capacity` 0, or has room for all of them. [any thread]
   */
  int32_t (*simulate_particles)(const struct cinetomo_context *context,
                                const struct cinetomo_volume *densities,
                                const int32_t *labels,
                                size_t n_labels,
                                const struct cinetomo_synthetic_options *options,
                                const struct cinetomo_hooks *hooks,
                                float *out_voxels,
                                size_t capacity,
                                size_t *out_len,
                                struct cinetomo_synthetic_particle *out_particles,
                                size_t particle_capacity,
                                struct cinetomo_error **out_error);
  /**
   * Simulates a tomogram of `shape` (z, y, x) voxels, at least 8 along each axis and at most 2^27 in all, that holds
   * one particle for each label, at random places: bounding spheres lie within the tomogram and do not overlap.
   * About a third of a tomogram can be filled; it is an error if a particle finds no place.
   *
   * `densities`, `options` and `hooks` are as for `simulate`. `out_voxels` receives the tomogram, x fastest;
   * `*out_len` the number of its voxels; with `capacity` 0 that is all that happens. `out_particles` receives one
   * particle for each label, in that order; it is NULL with `particle_capacity` 0, or has room for all of them.
   * Takes 24 bytes of memory a voxel. [any thread]
   */
  int32_t (*simulate_tomogram)(const struct cinetomo_context *context,
                               const struct cinetomo_volume *densities,
                               const int32_t *labels,
                               size_t n_labels,
                               const int64_t *shape,
                               const struct cinetomo_synthetic_options *options,
                               const struct cinetomo_hooks *hooks,
                               float *out_voxels,
                               size_t capacity,
                               size_t *out_len,
                               struct cinetomo_synthetic_particle *out_particles,
                               size_t particle_capacity,
                               struct cinetomo_error **out_error);
} cinetomo_synthetic_api;

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

/**
 * Version of the contract that the library serves: `CINETOMO_ABI_VERSION` of the header it was built with. [any thread]
 */
uint32_t cinetomo_abi_version(void);

/**
 * Fills `out_options` with the defaults: a temperature, and a threshold on probabilities that accepts 95 %.
 * `struct_size` is `sizeof *out_options`.
 *
 * Errors: NULL_ARGUMENT, INVALID_ARGUMENT. [any thread]
 */
int32_t cinetomo_calibration_options_init(struct cinetomo_calibration_options *out_options,
                                          size_t struct_size);

/**
 * Frees a cancel flag. NULL is fine. [any thread]
 */
void cinetomo_cancel_free(struct cinetomo_cancel *cancel);

/**
 * Makes a cancel flag, not raised. Free it with `cinetomo_cancel_free`, after the calls that use it have returned.
 *
 * Errors: NULL_ARGUMENT. [any thread]
 */
int32_t cinetomo_cancel_new(struct cinetomo_cancel **out_cancel,
                            struct cinetomo_error **out_error);

/**
 * Raises the flag: every call that was given it stops within a batch with CINETOMO_STATUS_CANCELLED, as does every
 * later one. It stays raised. NULL is fine. [any thread, also while the call runs; not from a signal handler]
 */
void cinetomo_cancel_raise(const struct cinetomo_cancel *cancel);

/**
 * Fills `out_confidence` with that of a model that was never calibrated. `struct_size` is `sizeof *out_confidence`.
 *
 * Errors: NULL_ARGUMENT, INVALID_ARGUMENT. [any thread]
 */
int32_t cinetomo_confidence_init(struct cinetomo_confidence *out_confidence,
                                 size_t struct_size);

/**
 * Frees a context. Models made with it go on working. NULL is fine. [any thread]
 */
void cinetomo_context_free(struct cinetomo_context *context);

/**
 * Chooses the device, the CPU threads and the log sink for the models made with this context. `options` may be NULL
 * for the defaults. Loads the CUDA part of libtorch if CUDA is asked for, or with AUTO if an NVIDIA driver is present;
 * libtorch looks for devices once, so a process that wants CUDA makes its CUDA context before it computes on the CPU.
 *
 * Errors: NULL_ARGUMENT; INVALID_ARGUMENT; DEVICE_UNAVAILABLE says whether the CUDA part of libtorch, the driver or
 * the device is missing; RUNTIME_CONFLICT if the process has two copies of libtorch. [any thread]
 */
int32_t cinetomo_context_new(const struct cinetomo_context_options *options,
                             struct cinetomo_context **out_context,
                             struct cinetomo_error **out_error);

/**
 * Fills `out_options` with the defaults. `struct_size` is `sizeof *out_options`.
 *
 * Errors: NULL_ARGUMENT, INVALID_ARGUMENT. [any thread]
 */
int32_t cinetomo_context_options_init(struct cinetomo_context_options *out_options,
                                      size_t struct_size);

/**
 * Frees an error. NULL is fine. [any thread]
 */
void cinetomo_error_free(struct cinetomo_error *error);

/**
 * Message of an error: UTF-8, one or more sentences that say what was wrong, the values, and what would be right.
 * Valid until the error is freed. "" for NULL. [any thread]
 */
const char *cinetomo_error_message(const struct cinetomo_error *error);

/**
 * Status of an error, a `CINETOMO_STATUS_*`. OK for NULL; INVALID_ARGUMENT for a handle that is not a live error.
 * [any thread]
 */
int32_t cinetomo_error_status(const struct cinetomo_error *error);

/**
 * Compares scores with true labels.
 *
 * `probabilities` holds `n_labels` rows of `n_classes` scores, as `cinetomo_model_classify` writes them (any finite
 * scores will do). `labels` are counted from 0; -1 leaves a row out. `out_confusion` receives `n_classes` x
 * `n_classes` counts, the true class along the rows and the predicted one along the columns, and `*out_len` their
 * number; with `capacity` 0 the metrics alone are computed and `out_confusion` and `out_len` may be NULL.
 *
 * Errors: NULL_ARGUMENT; INVALID_ARGUMENT for lengths that do not agree, a label out of range, or no label at all;
 * NON_FINITE; BUFFER_TOO_SMALL. [any thread]
 */
int32_t cinetomo_evaluate(const float *probabilities,
                          size_t n_probabilities,
                          const int32_t *labels,
                          size_t n_labels,
                          size_t n_classes,
                          struct cinetomo_metrics *out_metrics,
                          int64_t *out_confusion,
                          size_t capacity,
                          size_t *out_len,
                          struct cinetomo_error **out_error);

/**
 * Compares scores with true labels class by class. Scores, labels and errors are those of `cinetomo_evaluate`.
 * `out_classes` receives one struct a class; `*out_len` their number, `n_classes`. With `capacity` 0 that is all that
 * happens. [any thread]
 */
int32_t cinetomo_evaluate_classes(const float *probabilities,
                                  size_t n_probabilities,
                                  const int32_t *labels,
                                  size_t n_labels,
                                  size_t n_classes,
                                  struct cinetomo_class_metrics *out_classes,
                                  size_t capacity,
                                  size_t *out_len,
                                  struct cinetomo_error **out_error);

/**
 * How often subtomograms of each confidence (highest probability) are classified correctly: the reliability diagram, in
 * `n_bins` bins of equal width from 0 to 1 (1 to 1000; the calibration error of `cinetomo_evaluate` uses 15). Labels are
 * those of `cinetomo_evaluate`, scores must be probabilities. `out_bins` receives the bins, lowest first; `*out_len` their
 * number. With `capacity` 0 that is all that happens.
 *
 * Errors: as `cinetomo_evaluate`, and INVALID_ARGUMENT if a row is not one of probabilities. [any thread]
 */
int32_t cinetomo_evaluate_reliability(const float *probabilities,
                                      size_t n_probabilities,
                                      const int32_t *labels,
                                      size_t n_labels,
                                      size_t n_classes,
                                      size_t n_bins,
                                      struct cinetomo_reliability_bin *out_bins,
                                      size_t capacity,
                                      size_t *out_len,
                                      struct cinetomo_error **out_error);

/**
 * The ROC curve of the score of class `class_index`, counted from 0, one class against the rest. Scores and labels are
 * those of `cinetomo_evaluate`. `out_points` receives the point where nothing counts as the class, then one point for each
 * distinct score, highest first; `*out_len` their number. It is 0 if the class has no subtomogram or all of them: then
 * there is no curve.
 *
 * Errors: as `cinetomo_evaluate`, and INVALID_ARGUMENT if there is no such class. [any thread]
 */
int32_t cinetomo_evaluate_roc(const float *probabilities,
                              size_t n_probabilities,
                              const int32_t *labels,
                              size_t n_labels,
                              size_t n_classes,
                              size_t class_index,
                              struct cinetomo_roc_point *out_points,
                              size_t capacity,
                              size_t *out_len,
                              struct cinetomo_error **out_error);

/**
 * Fills `out_options` with the defaults: what was measured to be best at few labels. `struct_size` is
 * `sizeof *out_options`.
 *
 * Errors: NULL_ARGUMENT, INVALID_ARGUMENT. [any thread]
 */
int32_t cinetomo_fine_tune_options_init(struct cinetomo_fine_tune_options *out_options,
                                        size_t struct_size);

/**
 * Fills `out_options` with the training that `preset`, a `CINETOMO_PRESET_*`, names. `struct_size` is
 * `sizeof *out_options`. The milestones in it live as long as the process.
 *
 * Errors: NULL_ARGUMENT, INVALID_ARGUMENT. [any thread]
 */
int32_t cinetomo_fine_tune_options_preset(struct cinetomo_fine_tune_options *out_options,
                                          size_t struct_size,
                                          int32_t preset);

/**
 * Returns the functions of this header as a table, or NULL if `abi_version` is not one that the library serves (this
 * one serves 1). Valid for the life of the process. [any thread]
 */
const struct cinetomo_api *cinetomo_get_api(uint32_t abi_version);

/**
 * Returns the table of an extension, or NULL if the library does not have it. Ids carry their revision:
 * "cinetomo.dataset/1" is a `cinetomo_dataset_api`, "cinetomo.pick/1" a `cinetomo_pick_api`, "cinetomo.project2d/1" a
 * `cinetomo_project2d_api`, "cinetomo.synthetic/1" a `cinetomo_synthetic_api`. Valid for the life of the process. [any thread]
 */
const void *cinetomo_get_extension(const char *id);

/**
 * Fills `out_options` with the defaults: Grad-CAM of the predicted class. `struct_size` is `sizeof *out_options`.
 *
 * Errors: NULL_ARGUMENT, INVALID_ARGUMENT. [any thread]
 */
int32_t cinetomo_grad_cam_options_init(struct cinetomo_grad_cam_options *out_options,
                                       size_t struct_size);

/**
 * Fills `out_hooks` with the defaults: no progress, no cancel flag. `struct_size` is `sizeof *out_hooks`.
 *
 * Errors: NULL_ARGUMENT, INVALID_ARGUMENT. [any thread]
 */
int32_t cinetomo_hooks_init(struct cinetomo_hooks *out_hooks,
                            size_t struct_size);

/**
 * Estimates how many bytes a model and the work on it take at once on its device: weights, activations and, in
 * training, gradients, the optimiser's state and the new model. The caller's voxels and libtorch itself are not counted.
 *
 * `z`, `y`, `x` are the voxels of a subtomogram, the beam along z. `batch_size` 0 stands for what classification takes
 * at once, or for the default of `cinetomo_fine_tune_options`. `stage` is CINETOMO_STAGE_CLASSIFY, CINETOMO_STAGE_EMBED
 * or CINETOMO_STAGE_TRAIN (Adam, no stage frozen, no validation). Nothing is computed: the call takes milliseconds.
 * Measured on the CPU, estimates of full batches were within 15 %; benches/record/networks.md has them.
 *
 * Classification and fine-tuning log a warning if their estimate exceeds the memory that the machine has available.
 *
 * Errors: NULL_ARGUMENT; INVALID_ARGUMENT; MODEL_MISMATCH if the box is too small for the network. [any thread; calls on
 * one model take turns]
 */
int32_t cinetomo_memory_estimate(const struct cinetomo_model *model,
                                 int64_t z,
                                 int64_t y,
                                 int64_t x,
                                 int64_t batch_size,
                                 int32_t stage,
                                 uint64_t *out_bytes,
                                 struct cinetomo_error **out_error);

/**
 * Fills `out_metrics` with empty values. `struct_size` is `sizeof *out_metrics`.
 *
 * Errors: NULL_ARGUMENT, INVALID_ARGUMENT. [any thread]
 */
int32_t cinetomo_metrics_init(struct cinetomo_metrics *out_metrics, size_t struct_size);

/**
 * Calibrates a model on labelled subtomograms that it was not trained on, and returns the result as a new model; `model`
 * stays as it is. The new one's probabilities say how often it is right, and it has the thresholds that
 * `cinetomo_model_predict` rejects by. What an earlier calibration found is forgotten. `cinetomo_model_fine_tune` does
 * the same by itself on the subtomograms that it holds out (`validation_fraction`).
 *
 * `labels` holds one class per subtomogram, counted from 0; -1 marks one without label, which is left out. On
 * subtomograms that the model was trained on it is right and sure, and would stay so: take others. A few dozen are
 * needed at least; `cinetomo_model_confidence_get` and the log say what the result is worth. `options` (NULL = defaults)
 * and `hooks` may be NULL.
 *
 * Errors: NULL_ARGUMENT; INVALID_ARGUMENT names the option, label or subtomogram, and says what could be had if a wanted
 * precision or coverage cannot, or that the model has no class means to measure distances from; NON_FINITE;
 * MODEL_MISMATCH if the box is too small; OUT_OF_MEMORY; CANCELLED. [any thread; calls on one model take turns]
 */
int32_t cinetomo_model_calibrate(const struct cinetomo_model *model,
                                 const struct cinetomo_volume *subtomograms,
                                 const int32_t *labels,
                                 size_t n_labels,
                                 const struct cinetomo_calibration_options *options,
                                 const struct cinetomo_hooks *hooks,
                                 struct cinetomo_model **out_model,
                                 struct cinetomo_error **out_error);

/**
 * Classifies subtomograms. `out_probabilities` receives one row of `n_classes` probabilities per subtomogram, in the
 * order of the model's class names, each row adding up to 1; `*out_len` their number. With `capacity` 0 only
 * `*out_len` is written. `hooks` may be NULL. The probabilities of a calibrated model are calibrated (see
 * `cinetomo_model_calibrate`); those of another one are mostly too sure.
 *
 * A log line warns if voxel size (by more than 10 %) or contrast differ from what the model was fine-tuned on.
 *
 * Errors: NULL_ARGUMENT; INVALID_ARGUMENT, among others for a subtomogram that is constant; NON_FINITE names the
 * subtomogram; MODEL_MISMATCH if the box is too small for the network; BUFFER_TOO_SMALL; OUT_OF_MEMORY; CANCELLED.
 * [any thread; calls on one model take turns]
 */
int32_t cinetomo_model_classify(const struct cinetomo_model *model,
                                const struct cinetomo_volume *subtomograms,
                                const struct cinetomo_hooks *hooks,
                                float *out_probabilities,
                                size_t capacity,
                                size_t *out_len,
                                struct cinetomo_error **out_error);

/**
 * Tells how sure a model is: its temperature, the thresholds that it can reject by, and what they rest on.
 *
 * Errors: NULL_ARGUMENT, INVALID_ARGUMENT. [any thread]
 */
int32_t cinetomo_model_confidence_get(const struct cinetomo_model *model,
                                      struct cinetomo_confidence *out_confidence,
                                      struct cinetomo_error **out_error);

/**
 * Computes embeddings: the pooled features that the head sees. `out_embeddings` receives one row of `n_features`
 * numbers per subtomogram (see `cinetomo_model_info`); otherwise as `cinetomo_model_classify`.
 * [any thread; calls on one model take turns]
 */
int32_t cinetomo_model_embed(const struct cinetomo_model *model,
                             const struct cinetomo_volume *subtomograms,
                             const struct cinetomo_hooks *hooks,
                             float *out_embeddings,
                             size_t capacity,
                             size_t *out_len,
                             struct cinetomo_error **out_error);

/**
 * Fine-tunes a model on labelled subtomograms and returns the result as a new model; `model` stays as it is.
 *
 * `labels` holds one class per subtomogram, counted from 0; -1 marks one without label, which is left out.
 * `options` (NULL = defaults) and `hooks` may be NULL. Progress comes after every batch. On the CPU the same model,
 * voxels, labels, options and thread count give the same result, bit by bit. The voxels are read again in every epoch.
 * Sets that are larger than memory: extension cinetomo.dataset/1.
 *
 * Where subtomograms are held out (`validation_fraction`), the new model is calibrated on them; what could not be learnt
 * from them is logged. Without, its probabilities are the network's own: calibrate it with `cinetomo_model_calibrate`.
 *
 * Errors: NULL_ARGUMENT; INVALID_ARGUMENT names the option, label or subtomogram; NON_FINITE for voxels, or with the
 * epoch if the loss is no longer a number; MODEL_MISMATCH if the box is too small; OUT_OF_MEMORY; CANCELLED within one
 * batch. [any thread; calls on one model take turns]
 */
int32_t cinetomo_model_fine_tune(const struct cinetomo_model *model,
                                 const struct cinetomo_volume *subtomograms,
                                 const int32_t *labels,
                                 size_t n_labels,
                                 const struct cinetomo_fine_tune_options *options,
                                 const struct cinetomo_hooks *hooks,
                                 struct cinetomo_model **out_model,
                                 struct cinetomo_error **out_error);

/**
 * Frees a model. NULL is fine. A call that uses it on another thread still ends well. [any thread]
 */
void cinetomo_model_free(struct cinetomo_model *model);

/**
 * Makes a model whose network is initialised from video: reads a checkpoint that was trained on Kinetics, keeps its
 * network and gives it a new head with `options->n_classes` outputs, started at random. Fine-tune it before use.
 *
 * `checkpoint_path` is UTF-8. The file may be a PyTorch checkpoint (of `torch.save`, old format or new; of a network or of
 * a training with a network in it), a safetensors file, the `.index.json` of either in parts, an npz archive, or a pickled
 * flax checkpoint such as `i3d-kinetics-400.ckpt`; its content tells. Nothing in it is executed. It is read a tensor at a
 * time. Names may begin with `module.`, `model.` and the like. `cinetomo_weights_inspect` says what a file holds.
 * The network is recognised from the tensors; a video head may be missing. `hooks` may be NULL. The stem's three colour kernels are summed over the
 * single grey channel: the same as showing the grey value three times.
 *
 * Errors: NULL_ARGUMENT; INVALID_ARGUMENT; UNSUPPORTED as for `cinetomo_model_random`; IO; FORMAT if the file is no checkpoint that this release reads, is damaged,
 * or asks for any code but that of tensors; MODEL_MISMATCH lists every tensor that is missing, unexpected or of another shape;
 * NON_FINITE; OUT_OF_MEMORY; CANCELLED. [any thread]
 */
int32_t cinetomo_model_from_video(const struct cinetomo_context *context,
                                  const char *checkpoint_path,
                                  const struct cinetomo_model_options *options,
                                  const struct cinetomo_hooks *hooks,
                                  struct cinetomo_model **out_model,
                                  struct cinetomo_error **out_error);

/**
 * Computes where in each box the evidence for a class lies. `out_maps` receives one map per subtomogram, of the size of
 * the box and with its axes in the caller's order (z, y, x, x fastest, whatever `beam_axis` and strides are): how much
 * the class's logit draws on what is there, on the scale of the method. `*out_len` receives the number of all voxels;
 * with `capacity` 0 only that is written. `options` (NULL = defaults) and `hooks` may be NULL.
 *
 * A stage's map is coarse, a few positions along an axis (its strides divide the network's input, see `input_size` of
 * `cinetomo_preprocess`); it is stretched over the box by linear interpolation, along each axis by itself, which also
 * undoes any resizing. The subtomogram is explained as it comes, not averaged over mirror images. Takes somewhat longer
 * than classification, but a small part of that if `class_index` names the class.
 *
 * Errors: as `cinetomo_model_classify`; INVALID_ARGUMENT too if there is no such class or stage, or if the class does not
 * depend on positions there, as past the last attention: the message names a stage.
 * [any thread; calls on one model take turns]
 */
int32_t cinetomo_model_grad_cam(const struct cinetomo_model *model,
                                const struct cinetomo_volume *subtomograms,
                                const struct cinetomo_grad_cam_options *options,
                                const struct cinetomo_hooks *hooks,
                                float *out_maps,
                                size_t capacity,
                                size_t *out_len,
                                struct cinetomo_error **out_error);

/**
 * Tells what a model is: network, classes, sizes, history. The pointers in `*out_info` are valid until the model is
 * freed.
 *
 * Errors: NULL_ARGUMENT, INVALID_ARGUMENT. [any thread]
 */
int32_t cinetomo_model_info_get(const struct cinetomo_model *model,
                                struct cinetomo_model_info *out_info,
                                struct cinetomo_error **out_error);

/**
 * Fills `out_info` with empty values. `struct_size` is `sizeof *out_info`.
 *
 * Errors: NULL_ARGUMENT, INVALID_ARGUMENT. [any thread]
 */
int32_t cinetomo_model_info_init(struct cinetomo_model_info *out_info, size_t struct_size);

/**
 * Loads a model that `cinetomo_model_save` wrote. It scores exactly as the saved one on the same device.
 *
 * Errors: NULL_ARGUMENT; INVALID_ARGUMENT; IO; FORMAT if the file is damaged, no cinetomo model, or of a newer format;
 * MODEL_MISMATCH if its tensors are not those of its network; NON_FINITE. [any thread]
 */
int32_t cinetomo_model_load(const struct cinetomo_context *context,
                            const char *path,
                            struct cinetomo_model **out_model,
                            struct cinetomo_error **out_error);

/**
 * Fills `out_options` with the defaults. `struct_size` is `sizeof *out_options`.
 *
 * Errors: NULL_ARGUMENT, INVALID_ARGUMENT. [any thread]
 */
int32_t cinetomo_model_options_init(struct cinetomo_model_options *out_options, size_t struct_size);

/**
 * Classifies subtomograms and says of which nothing should be said: each gets its most probable class, or -1 if one of
 * the rules in `reject` (a sum of `CINETOMO_REJECT_*`; 0 = none) does not accept it. The rules' thresholds are the
 * model's; see `cinetomo_model_calibrate`. `hooks` may be NULL.
 *
 * What `out_predictions` points to receives the results, all from one pass over the subtomograms: `labels`, the same
 * probabilities as by `cinetomo_model_classify`, and distances. Arrays that are NULL are not written; the others must be
 * large enough: as many numbers as subtomograms, for probabilities times `n_classes`.
 *
 * Errors: as `cinetomo_model_classify`, and INVALID_ARGUMENT if the model has no threshold for a rule, or no class means
 * to measure distances from; the message says how it gets them. [any thread; calls on one model take turns]
 */
int32_t cinetomo_model_predict(const struct cinetomo_model *model,
                               const struct cinetomo_volume *subtomograms,
                               int32_t reject,
                               const struct cinetomo_hooks *hooks,
                               const struct cinetomo_predictions *out_predictions,
                               struct cinetomo_error **out_error);

/**
 * Makes a model whose network starts from random numbers: the baseline that video initialisation is measured against.
 *
 * Errors: NULL_ARGUMENT; INVALID_ARGUMENT; UNSUPPORTED if `options->backbone` is no network of this release;
 * OUT_OF_MEMORY. [any thread]
 */
int32_t cinetomo_model_random(const struct cinetomo_context *context,
                              const struct cinetomo_model_options *options,
                              struct cinetomo_model **out_model,
                              struct cinetomo_error **out_error);

/**
 * Saves a model as one safetensors file that holds everything: network, head, preprocessing, class names, training
 * history. `path` is UTF-8; an existing file is replaced in one step, so that a crash leaves the old file or the new.
 *
 * Errors: NULL_ARGUMENT, INVALID_ARGUMENT, IO. [any thread; calls on one model take turns]
 */
int32_t cinetomo_model_save(const struct cinetomo_model *model,
                            const char *path,
                            struct cinetomo_error **out_error);

/**
 * Fills `out_predictions` with the defaults: no array. `struct_size` is `sizeof *out_predictions`.
 *
 * Errors: NULL_ARGUMENT, INVALID_ARGUMENT. [any thread]
 */
int32_t cinetomo_predictions_init(struct cinetomo_predictions *out_predictions, size_t struct_size);

/**
 * Fills `out_preprocess` with the defaults. `struct_size` is `sizeof *out_preprocess`.
 *
 * Errors: NULL_ARGUMENT, INVALID_ARGUMENT. [any thread]
 */
int32_t cinetomo_preprocess_init(struct cinetomo_preprocess *out_preprocess, size_t struct_size);

/**
 * Fills `out_preprocess` with what goes with `preset`, a `CINETOMO_PRESET_*`: for the PAPER presets what its code did (each
 * subtomogram between 0 and 1, sections resized to 128 x 128 by cubic convolution, one view), for others the defaults.
 * `struct_size` is `sizeof *out_preprocess`.
 *
 * Errors: NULL_ARGUMENT, INVALID_ARGUMENT. [any thread]
 */
int32_t cinetomo_preprocess_preset(struct cinetomo_preprocess *out_preprocess,
                                   size_t struct_size,
                                   int32_t preset);

/**
 * Says what the library is and what it found: versions, paths, cores, and whether CUDA can be used or what is missing.
 * Does not load the CUDA part of libtorch.
 *
 * Errors: NULL_ARGUMENT, INVALID_ARGUMENT. [any thread]
 */
int32_t cinetomo_runtime_info_get(struct cinetomo_runtime_info *out_info,
                                  struct cinetomo_error **out_error);

/**
 * Fills `out_info` with empty values. `struct_size` is `sizeof *out_info`.
 *
 * Errors: NULL_ARGUMENT, INVALID_ARGUMENT. [any thread]
 */
int32_t cinetomo_runtime_info_init(struct cinetomo_runtime_info *out_info, size_t struct_size);

/**
 * Divides labelled subtomograms, class by class and at random, into those to train on, those to choose and calibrate by,
 * and those to measure on once everything is chosen: the same for every host that has the same labels and seed.
 *
 * `labels` are counted from 0; -1 marks a subtomogram without label, which belongs to no part. `groups` (NULL = none)
 * holds the number of each subtomogram's tomogram, `n_labels` of them: then test and validation are whole tomograms, and
 * no subtomogram of theirs is trained on; neighbours share noise, and a test on them flatters. The fractions are then met as well as
 * whole tomograms allow. `options` may be NULL (defaults). `out_parts` receives a `CINETOMO_PART_*` for each subtomogram;
 * `*out_len` their number, `n_labels`. With `capacity` 0 that is all that happens.
 *
 * The test part does not depend on the other fractions, and a larger `training_fraction` adds to what a smaller one
 * chose: studies with 5, 10 or 25 % of the labels to train on have one test set. No class loses its last example to
 * test or validation.
 *
 * Errors: NULL_ARGUMENT; INVALID_ARGUMENT names the option or label, or says that there are too few tomograms to divide;
 * BUFFER_TOO_SMALL. [any thread]
 */
int32_t cinetomo_split(const int32_t *labels,
                       const int32_t *groups,
                       size_t n_labels,
                       const struct cinetomo_split_options *options,
                       int32_t *out_parts,
                       size_t capacity,
                       size_t *out_len,
                       struct cinetomo_error **out_error);

/**
 * Fills `out_options` with the defaults: 0.6 to train on, 0.2 to choose by, 0.2 to measure on. `struct_size` is
 * `sizeof *out_options`.
 *
 * Errors: NULL_ARGUMENT, INVALID_ARGUMENT. [any thread]
 */
int32_t cinetomo_split_options_init(struct cinetomo_split_options *out_options,
                                    size_t struct_size);

/**
 * Name of a status, such as "FORMAT"; "UNKNOWN" for a number that is none. Valid for the life of the process.
 * [any thread]
 */
const char *cinetomo_status_name(int32_t status);

/**
 * Version of cinetomo, such as "0.1.0". Valid for the life of the process. [any thread]
 */
const char *cinetomo_version(void);

/**
 * Fills `out_volume` with the defaults: no data, f32 on the CPU, contiguous, beam along z. `struct_size` is
 * `sizeof *out_volume`.
 *
 * Errors: NULL_ARGUMENT, INVALID_ARGUMENT. [any thread]
 */
int32_t cinetomo_volume_init(struct cinetomo_volume *out_volume,
                             size_t struct_size);

/**
 * Looks into a checkpoint of a video network without loading it: what it is, and whether `cinetomo_model_from_video` will
 * take it. `path` is UTF-8. `out_json` receives a JSON object as NUL-terminated text; `*out_len` its length in bytes,
 * the NUL included. With `capacity` 0 only `*out_len` is written, and only the headers of the file are read; with a
 * buffer all of it is, once, for the hash. No code in a file is ever run.
 *
 * Fields of the object:
 * "path": text, the file. "container": text, what the file is, in words. "n_parts": number of files with weights, 1 unless it
 * is the index of several. "n_bytes": size of all files. "sha256": text, 64 hexadecimal digits, of the file; of an index,
 * of it and its parts in the order of their names, one after the other. "metadata": object of texts, plain values that the
 * file keeps beside the tensors, such as "epoch" and "arch". "tensors": array, by name, of objects with "name" (text),
 * "dtype" (text, such as "float32"), "shape" (array of numbers), "n_bytes" (number). "network": text, what
 * `options->backbone` calls the network that the file holds, or null. "n_classes": number of classes of its video head, or
 * null. "nearest": text, the network that it comes nearest to if it holds none, or null. "wrong": array of texts, all that
 * keeps it from being that. "guess": text, what else it may be, or "". Fields may be added.
 *
 * Errors: NULL_ARGUMENT; INVALID_ARGUMENT; IO; FORMAT if the file is no checkpoint that is read, the message saying what it
 * is; BUFFER_TOO_SMALL. A file that holds no known network is no error. [any thread]
 */
int32_t cinetomo_weights_inspect(const char *path,
                                 char *out_json,
                                 size_t capacity,
                                 size_t *out_len,
                                 struct cinetomo_error **out_error);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* CINETOMO_H */
