package io.ucp.formats.deepspeed.writing;

import io.ucp.formats.LayoutHints.Kind;
import io.ucp.formats.LayoutHints.Pattern;
import io.ucp.formats.torch.pickle.PickleValue;
import io.ucp.formats.torch.pickle.PyDict;
import io.ucp.formats.torch.pickle.PyInt;
import io.ucp.formats.torch.pickle.PyList;
import io.ucp.formats.torch.pickle.PyText;

import java.util.List;
import java.util.OptionalLong;

/// `universal_checkpoint_info`: how parameters are cut. Megatron-DeepSpeed writes the patterns of
/// tensor parallelism only where there is some.
///
/// Source: DeepSpeed `checkpoint/constants.py`; Megatron-DeepSpeed `megatron/model/gpt_model.py`
/// (`universal_checkpoint_info`).
record CheckpointInfo(Ranks ranks, List<Pattern> patterns, OptionalLong paddedVocabulary) {
    static final String REPLICATED = "tp_replicated_parameter_patterns";
    static final String ROW_PARALLEL = "parameter_with_row_parallelism_patterns";
    static final String AVERAGED = "parameter_to_average_patterns";
    static final String TWO_SUB_PARAMS = "parameter_with_2_sub_params_cat_dim_0";
    static final String VOCABULARY = "vocabulary_parameter_patterns";
    static final String PIPELINE_REPLICATED = "pipeline_replicated_parameter_patterns";
    private static final String PADDED = "padded_vocab_size";
    private static final String ORIGINAL = "original_vocab_size";

    PickleValue changed(PickleValue value) {
        if (value.asDict().isEmpty()) {
            return value;
        }
        PyDict info = value.asDict().get();
        if (info.has(PADDED) && paddedVocabulary.isPresent()) {
            info = info.with(PADDED, PyInt.of(paddedVocabulary.getAsLong()));
        }
        if (!info.has(VOCABULARY) && !info.has(ORIGINAL) && !info.has(REPLICATED)) {
            // A model without tensor parallelism of its own: a version alone.
            return ranks.tp() == 1 ? info : withTensorPatterns(info);
        }
        return ranks.tp() == 1
                ? info.without(REPLICATED).without(ROW_PARALLEL).without(AVERAGED)
                : withTensorPatterns(info);
    }

    /// What the source says stays; what it does not say comes from the target's rules.
    private PyDict withTensorPatterns(PyDict info) {
        PyDict changed = info;
        changed = missing(changed, REPLICATED, Kind.REPLICATED_OVER_TP, true);
        changed = missing(changed, ROW_PARALLEL, Kind.ROW_PARALLEL, true);
        changed = missing(changed, AVERAGED, Kind.AVERAGED_OVER_TP, false);
        changed = missing(changed, TWO_SUB_PARAMS, Kind.TWO_SUB_PARAMS, true);
        changed = missing(changed, VOCABULARY, Kind.VOCABULARY, false);
        return missing(changed, PIPELINE_REPLICATED, Kind.REPLICATED_OVER_PP, false);
    }

    private PyDict missing(PyDict info, String key, Kind kind, boolean evenEmpty) {
        List<PyText> regexes =
                patterns.stream()
                        .filter(p -> p.kind() == kind)
                        .map(p -> PyText.of(p.regex()))
                        .toList();
        return info.has(key) || (regexes.isEmpty() && !evenEmpty)
                ? info
                : info.with(key, PyList.of(regexes));
    }
}
