package io.ucp.formats.deepspeed.writing;

import java.util.Locale;

/// What the file of a pipeline's layer is called.
///
/// Source: DeepSpeed `runtime/pipe/module.py` (`ckpt_layer_path`).
public final class LayerName {
    private LayerName() {}

    /// @param tp tensor-parallel rank
    public static String of(int layer, int tp) {
        return String.format(Locale.ROOT, "layer_%02d-model_%02d-model_states.pt", layer, tp);
    }

    /// Of a job whose ranks have one file.
    static String of(int layer) {
        return String.format(Locale.ROOT, "layer_%02d-model_states.pt", layer);
    }
}
