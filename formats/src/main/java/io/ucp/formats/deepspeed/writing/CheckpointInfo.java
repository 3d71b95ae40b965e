package io.ucp.formats.deepspeed.writing;

import io.ucp.formats.LayoutHints.Kind;
import io.ucp.formats.LayoutHints.Pattern;
import io.ucp.formats.RefusedException;
import io.ucp.formats.torch.pickle.PickleValue;
import io.ucp.formats.torch.pickle.PyDict;
import io.ucp.formats.torch.pickle.PyInt;
import io.ucp.formats.torch.pickle.PyList;
import io.ucp.formats.torch.pickle.PyText;
import io.ucp.formats.torch.pickle.PyTuple;

import java.util.ArrayList;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.stream.Stream;

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
    private static final String VERSION = "universal_checkpoint_version";
    private static final String SUB_PARAMS = "parameter_with_sub_params";
    private static final String WIDTHS = "sub_param_shard_widths";

    /// The version from which a converter asks for [#WIDTHS].
    private static final double WITH_WIDTHS = 0.4;

    PickleValue changed(PickleValue value) {
        if (value.asDict().isEmpty()) {
            return value;
        }
        PyDict info = value.asDict().get();
        if (info.has(PADDED) && paddedVocabulary.isPresent()) {
            info = info.with(PADDED, PyInt.of(paddedVocabulary.getAsLong()));
        }
        info = resized(info);
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
        changed = missing(changed, PIPELINE_REPLICATED, Kind.REPLICATED_OVER_PP, false);
        return missingSubParams(changed);
    }

    private PyDict missing(PyDict info, String key, Kind kind, boolean evenEmpty) {
        List<PyText> regexes = of(kind).map(p -> PyText.of(p.regex())).toList();
        return info.has(key) || (regexes.isEmpty() && !evenEmpty)
                ? info
                : info.with(key, PyList.of(regexes));
    }

    private Stream<Pattern> of(Kind kind) {
        return patterns.stream().filter(p -> p.kind() == kind);
    }

    /// Parameters of more parts than two: each part's extent, and from version 0.4 on its width on
    /// each rank.
    private PyDict missingSubParams(PyDict info) {
        List<Pattern> fused = of(Kind.SUB_PARAMS).toList();
        if (info.has(SUB_PARAMS) || fused.isEmpty()) {
            return info;
        }
        PyDict changed =
                info.with(SUB_PARAMS, PyList.of(fused.stream().map(this::subParams).toList()));
        if (info.find(VERSION).map(v -> v.asDouble().orElse(0)).orElse(0.0) < WITH_WIDTHS) {
            return changed;
        }
        PyDict widths = PyDict.empty();
        for (Pattern pattern : fused) {
            List<Long> parts = pattern.subShape().get(pattern.dim());
            widths = widths.with(pattern.regex(), widths(pattern.regex(), parts));
        }
        return changed.with(WIDTHS, widths);
    }

    private PickleValue subParams(Pattern pattern) {
        List<PickleValue> shape = new ArrayList<>();
        for (int d = 0; d < pattern.subShape().size(); d++) {
            List<Long> extents = pattern.subShape().get(d);
            shape.add(
                    d == pattern.dim()
                            ? PyTuple.of(extents.stream().map(PyInt::of).toList())
                            : PyInt.of(extents.getFirst()));
        }
        Map<String, PickleValue> rule = new LinkedHashMap<>();
        rule.put("patterns", PyList.of(PyText.of(pattern.regex())));
        rule.put("shape", PyList.of(shape));
        rule.put("partition_dim", PyInt.of(pattern.dim()));
        return PyDict.of(rule);
    }

    /// The widths that the source's ranks have, as the target's.
    private PyDict resized(PyDict info) {
        Optional<PyDict> held = info.find(WIDTHS).flatMap(PickleValue::asDict);
        if (held.isEmpty()) {
            return info;
        }
        PyDict widths = held.get();
        for (PyDict.Entry entry : held.get().entries()) {
            List<Long> parts = new ArrayList<>();
            for (PickleValue part : entry.value().asSequence().orElse(List.of())) {
                parts.add(
                        part.asSequence().orElse(List.of()).stream()
                                .mapToLong(w -> w.asLong().orElse(0))
                                .sum());
            }
            String regex = entry.key().asText().orElse("");
            widths = widths.with(entry.key(), widths(regex, parts));
        }
        return info.with(WIDTHS, widths);
    }

    private PickleValue widths(String regex, List<Long> parts) {
        Optional<List<List<Long>>> told =
                of(Kind.SUB_PARAMS)
                        .filter(p -> p.regex().equals(regex) && !p.widths().isEmpty())
                        .map(Pattern::widths)
                        .filter(w -> w.stream().allMatch(part -> part.size() == ranks.tp()))
                        .findFirst();
        List<PickleValue> all = new ArrayList<>();
        for (int i = 0; i < parts.size(); i++) {
            all.add(
                    PyList.of(
                            told.isPresent()
                                    ? told.get().get(i).stream().map(PyInt::of).toList()
                                    : even(regex, parts.get(i))));
        }
        return PyList.of(all);
    }

    private List<PyInt> even(String regex, long part) {
        if (part % ranks.tp() != 0) {
            throw new RefusedException(
                    regex,
                    "a part of %d over %d tensor-parallel ranks".formatted(part, ranks.tp()),
                    "a multiple of the ranks",
                    "give the widths in a spec, or another --tp");
        }
        return Collections.nCopies(ranks.tp(), PyInt.of(part / ranks.tp()));
    }
}
