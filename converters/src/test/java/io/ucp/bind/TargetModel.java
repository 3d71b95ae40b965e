package io.ucp.bind;

import io.ucp.formats.AxisDegree;
import io.ucp.formats.LayoutHints;
import io.ucp.formats.ParameterFacts;
import io.ucp.lang.ast.Spec;
import io.ucp.tensor.DType;
import io.ucp.tensor.Shape;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.Set;

/// Small Megatron-DeepSpeed models as a checkpoint of one tensor-parallel rank has them, each
/// parameter with how its tensor-parallel ranks are to share it.
final class TargetModel {
    /// How ranks share a parameter.
    enum Cut {
        WHOLE,
        ROWS,
        COLUMNS,
        /// Two halves of the rows, each cut on its own.
        HALVES
    }

    static final int VOCABULARY = 130;
    static final int HIDDEN = 16;
    static final int FFN = 24;
    static final int LAYERS = 5;
    static final int HEADS = 8;
    static final int KV_HEADS = 4;

    final Map<String, Cut> cuts = new LinkedHashMap<>();
    final Map<String, Long> numbers = new LinkedHashMap<>();
    private final List<ParameterFacts> parameters = new ArrayList<>();

    private TargetModel(boolean grouped) {
        numbers.put("vocab", (long) VOCABULARY);
        numbers.put("hidden", (long) HIDDEN);
        numbers.put("ffn", (long) FFN);
        numbers.put("heads", (long) HEADS);
        numbers.put("kv_heads", grouped ? KV_HEADS : (long) HEADS);
        numbers.put("positions", 12L);
    }

    /// Untied, grouped-query attention, SwiGLU.
    static TargetModel llama(int tp) {
        TargetModel m = new TargetModel(true);
        m.vocabulary("1.word_embeddings.weight", tp);
        for (int l = 2; l < 2 + LAYERS; l++) {
            m.add(l + ".input_layernorm.weight", Cut.WHOLE, HIDDEN);
            m.add(
                    l + ".self_attention.query_key_value.weight",
                    Cut.ROWS,
                    (HEADS + 2 * KV_HEADS) * HIDDEN / HEADS,
                    HIDDEN);
            m.add(l + ".self_attention.dense.weight", Cut.COLUMNS, HIDDEN, HIDDEN);
            m.add(l + ".post_attention_layernorm.weight", Cut.WHOLE, HIDDEN);
            m.add(l + ".mlp.dense_h_to_4h.weight", Cut.HALVES, 2 * FFN, HIDDEN);
            m.add(l + ".mlp.dense_4h_to_h.weight", Cut.COLUMNS, HIDDEN, FFN);
        }
        m.add(2 + LAYERS + ".weight", Cut.WHOLE, HIDDEN);
        m.vocabulary(3 + LAYERS + ".lm_head.weight", tp);
        return m;
    }

    /// Tied over the first and the last stage, with biases.
    static TargetModel gpt(int tp) {
        TargetModel m = new TargetModel(false);
        m.vocabulary("tied_modules.embed.word_embeddings.weight", tp);
        m.add("tied_modules.embed.position_embeddings.weight", Cut.WHOLE, 12, HIDDEN);
        for (int l = 2; l < 2 + LAYERS; l++) {
            for (String norm : List.of("input", "post_attention")) {
                m.add(l + "." + norm + "_layernorm.weight", Cut.WHOLE, HIDDEN);
                m.add(l + "." + norm + "_layernorm.bias", Cut.WHOLE, HIDDEN);
            }
            m.add(l + ".self_attention.query_key_value.weight", Cut.ROWS, 3 * HIDDEN, HIDDEN);
            m.add(l + ".self_attention.query_key_value.bias", Cut.ROWS, 3 * HIDDEN);
            m.add(l + ".self_attention.dense.weight", Cut.COLUMNS, HIDDEN, HIDDEN);
            m.add(l + ".self_attention.dense.bias", Cut.WHOLE, HIDDEN);
            m.add(l + ".mlp.dense_h_to_4h.weight", Cut.ROWS, FFN, HIDDEN);
            m.add(l + ".mlp.dense_h_to_4h.bias", Cut.ROWS, FFN);
            m.add(l + ".mlp.dense_4h_to_h.weight", Cut.COLUMNS, HIDDEN, FFN);
            m.add(l + ".mlp.dense_4h_to_h.bias", Cut.WHOLE, HIDDEN);
        }
        m.add(2 + LAYERS + ".weight", Cut.WHOLE, HIDDEN);
        m.add(2 + LAYERS + ".bias", Cut.WHOLE, HIDDEN);
        return m;
    }

    /// Of these names.
    static TargetModel of(String... names) {
        TargetModel m = new TargetModel(false);
        for (String name : names) {
            m.add(name, Cut.WHOLE, 4, 4);
        }
        return m;
    }

    /// Padded as a job of so many tensor-parallel ranks does.
    static long paddedVocabulary(int tp) {
        return Math.ceilDiv(VOCABULARY, 128L * tp) * 128L * tp;
    }

    private void vocabulary(String name, int tp) {
        add(name, Cut.ROWS, Shape.of(paddedVocabulary(tp), HIDDEN), Shape.of(VOCABULARY, HIDDEN));
    }

    private void add(String name, Cut cut, long... dims) {
        add(name, cut, Shape.of(dims), Shape.of(dims));
    }

    private void add(String name, Cut cut, Shape shape, Shape real) {
        cuts.put(name, cut);
        Map<String, DType> states = Map.of("fp32", DType.FLOAT32, "weight", DType.BFLOAT16);
        parameters.add(parameter(name, shape, real, states));
    }

    /// @param real without padding
    static ParameterFacts parameter(
            String name, Shape shape, Shape real, Map<String, DType> states) {
        return new ParameterFacts(
                name,
                shape,
                real,
                states,
                Map.of(),
                ParameterFacts.Split.UNKNOWN,
                true,
                false,
                0,
                List.of(),
                Map.of(),
                List.of());
    }

    /// By a spec that the user did not name.
    static TargetBinder.Bound bind(
            TargetBinder.Source source,
            Optional<Spec> spec,
            TargetRequest request,
            Map<String, Long> settings) {
        return TargetBinder.bind(source, spec, false, request, settings);
    }

    TargetBinder.Source source(AxisDegree... mesh) {
        return source(List.of(), mesh);
    }

    TargetBinder.Source source(List<LayoutHints.Pattern> patterns, AxisDegree... mesh) {
        return new TargetBinder.Source(
                parameters,
                new LayoutHints(
                        Optional.of("0.4"),
                        patterns,
                        OptionalLong.of(VOCABULARY),
                        Map.of(),
                        Set.of(),
                        Set.of(),
                        numbers),
                List.of(mesh),
                1);
    }

    static TargetRequest to(int pp, int tp) {
        return TargetRequest.SAME.withTp(tp).withPp(pp).withDp(1);
    }
}
