package org.cinetomo;

/** What {@link Model#gradCam} explains, and how: cinetomo_grad_cam_options in cinetomo.h. */
public final class GradCamOptions {
    /** Name of the stage whose map is weighed, one of {@link ModelInfo#stageNames}; null = the library's choice. */
    public String stage;
    /** The class, counted from 0; -1 = of each subtomogram the most probable one. */
    public int classIndex = -1;
    /** How channels are weighed. */
    public CamMethod method = CamMethod.GRAD_CAM;
    /** Whether evidence against the class is cut off at 0; null = as the method was published. */
    public Boolean rectify;
}
