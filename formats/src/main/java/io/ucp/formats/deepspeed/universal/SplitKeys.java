package io.ucp.formats.deepspeed.universal;

import io.ucp.formats.ParameterFacts.Split;
import io.ucp.formats.ParameterFacts.SplitKind;
import io.ucp.formats.torch.pickle.PickleValue;
import io.ucp.formats.torch.pickle.PyBool;
import io.ucp.formats.torch.pickle.PyDict;
import io.ucp.formats.torch.pickle.PyGlobal;
import io.ucp.formats.torch.pickle.PyInt;
import io.ucp.formats.torch.pickle.PyList;
import io.ucp.formats.torch.pickle.PyObject;
import io.ucp.formats.torch.pickle.PyText;
import io.ucp.formats.torch.pickle.PyTuple;
import io.ucp.tensor.Shape;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalLong;

/// The keys around a parameter's tensor in a state file: how tensor-parallel ranks cut it.
///
/// | keys | meaning |
/// |---|---|
/// | none | every rank holds all of it (replicated, or averaged) |
/// | `cat_dim` | cut in equal parts along it |
/// | `cat_dim`, `param_n_sub_params` | so many equal sub-parameters along it, each cut |
/// | `sub_param_shape` | a `SubparamShape`: sub-parameters of these extents, each cut |
/// | `vocab_tensor` | beside any: rows past the real vocabulary are stripped |
/// | `is_expert_param`, `ep_num_experts` | AutoEP: dim 0 are the experts, so many of them |
///
/// Source: DeepSpeed `checkpoint/ds_to_universal.py` (`merge_tp_slices`),
/// `checkpoint/autoep_universal.py` (`consolidate_autoep_zero12_expert_states`),
/// `checkpoint/universal_checkpoint.py` (`load_hp_checkpoint_state`).
final class SplitKeys {
    static final String PARAM = "param";
    private static final String CAT_DIM = "cat_dim";
    private static final String SUB_PARAMS = "param_n_sub_params";
    private static final String SUB_PARAM_SHAPE = "sub_param_shape";
    private static final String VOCABULARY = "vocab_tensor";
    private static final String IS_EXPERT = "is_expert_param";
    private static final String EXPERTS = "ep_num_experts";
    private static final PyGlobal SUBPARAM_SHAPE =
            new PyGlobal("deepspeed.checkpoint.universal_checkpoint", "SubparamShape");

    private SplitKeys() {}

    /// The tensor of experts with its keys: the expert is what is cut, and the tensor comes first.
    static PyDict ofExperts(PickleValue tensor, long experts) {
        Map<String, PickleValue> keys = new LinkedHashMap<>();
        keys.put(PARAM, tensor);
        keys.put(CAT_DIM, PyInt.of(0));
        keys.put(IS_EXPERT, new PyBool(true));
        keys.put(EXPERTS, PyInt.of(experts));
        return PyDict.of(keys);
    }

    /// The tensor of any other parameter behind its keys, in upstream's order.
    ///
    /// @param shape of the parameter
    /// @param patterns what `SubparamShape.patterns` is to hold, where the split needs one
    /// @param vocabulary whether rows were stripped
    static PyDict of(
            PickleValue tensor,
            Split split,
            Shape shape,
            List<String> patterns,
            boolean vocabulary) {
        Map<String, PickleValue> keys = new LinkedHashMap<>();
        switch (split.kind()) {
            case REPLICATED, AVERAGED -> {}
            case UNKNOWN, SHARDED -> keys.put(CAT_DIM, PyInt.of(split.dim()));
            case FUSED -> fused(split, shape, patterns, keys);
        }
        if (vocabulary) {
            keys.put(VOCABULARY, new PyBool(true));
        }
        keys.put(PARAM, tensor);
        return PyDict.of(keys);
    }

    private static void fused(
            Split split, Shape shape, List<String> patterns, Map<String, PickleValue> into) {
        boolean equal = split.parts().stream().distinct().count() <= 1;
        if (split.subShape().isEmpty() && equal) {
            into.put(CAT_DIM, PyInt.of(split.dim()));
            into.put(SUB_PARAMS, PyInt.of(Math.max(split.parts().size(), 2)));
            return;
        }
        into.put(
                SUB_PARAM_SHAPE,
                PyObject.instance(SUBPARAM_SHAPE)
                        .withState(
                                PyDict.of(
                                        orderedMap(
                                                "patterns", texts(patterns),
                                                "shape", extents(split, shape),
                                                "partition_dim", PyInt.of(split.dim())))));
    }

    private static Map<String, PickleValue> orderedMap(
            String k1, PickleValue v1, String k2, PickleValue v2, String k3, PickleValue v3) {
        Map<String, PickleValue> map = new LinkedHashMap<>();
        map.put(k1, v1);
        map.put(k2, v2);
        map.put(k3, v3);
        return map;
    }

    private static PyList texts(List<String> texts) {
        return PyList.of(texts.stream().map(PyText::of).toList());
    }

    /// A tuple with an int for each dimension, and a tuple of ints where it is cut in parts.
    private static PyTuple extents(Split split, Shape shape) {
        List<List<Long>> all =
                split.subShape().isEmpty()
                        ? Arrays.stream(shape.dims()).mapToObj(List::of).toList()
                        : split.subShape();
        List<PickleValue> dims = new ArrayList<>();
        for (int d = 0; d < all.size(); d++) {
            List<Long> extents = all.get(d);
            boolean cut = d == split.dim();
            if (cut && !split.parts().isEmpty()) {
                extents = split.parts();
            }
            dims.add(
                    extents.size() == 1 && !cut
                            ? PyInt.of(extents.getFirst())
                            : PyTuple.of(extents.stream().map(PyInt::of).toList()));
        }
        return PyTuple.of(dims);
    }

    /// The shape that a state file gives a parameter of `shape`: that of the sub-parameter view
    /// where it is described by one.
    static Shape shapeInFile(Split split, Shape shape) {
        if (split.kind() != SplitKind.FUSED || split.subShape().isEmpty()) {
            return shape;
        }
        long[] dims = new long[split.subShape().size()];
        int open = -1;
        long known = 1;
        for (int d = 0; d < dims.length; d++) {
            List<Long> extents =
                    d == split.dim() && !split.parts().isEmpty()
                            ? split.parts()
                            : split.subShape().get(d);
            dims[d] = extents.stream().mapToLong(Long::longValue).sum();
            if (dims[d] < 0) {
                open = d;
            } else {
                known = Math.multiplyExact(known, dims[d]);
            }
        }
        if (open >= 0) {
            dims[open] = known == 0 ? 0 : shape.count() / known;
        }
        Shape view = Shape.of(dims);
        return view.count() == shape.count() ? view : shape;
    }

    /// What the keys say of a tensor of `shape`; empty where they are not understood.
    ///
    /// @param manyRanks whether the job had tensor-parallel ranks: only then was `cat_dim` thought
    ///   about, else it is 0 for all
    static Optional<Split> read(PyDict state, Shape shape, boolean manyRanks) {
        Optional<Split> dense = cut(state, shape, manyRanks);
        if (!state.find(IS_EXPERT).flatMap(PickleValue::asBool).orElse(false)) {
            return dense;
        }
        OptionalLong count = asLong(state, EXPERTS);
        return count.isPresent() && shape.rank() > 0 && shape.dim(0) == count.getAsLong()
                ? dense.map(split -> split.ofExperts(count.getAsLong()))
                : Optional.empty();
    }

    private static Optional<Split> cut(PyDict state, Shape shape, boolean manyRanks) {
        boolean vocabulary = state.find(VOCABULARY).flatMap(PickleValue::asBool).orElse(false);
        Optional<PickleValue> sub = state.find(SUB_PARAM_SHAPE);
        if (sub.isPresent()) {
            return subParamShape(sub.get(), vocabulary);
        }
        OptionalLong dim = asLong(state, CAT_DIM);
        OptionalLong count = asLong(state, SUB_PARAMS);
        if (state.has(CAT_DIM) != dim.isPresent() || state.has(SUB_PARAMS) != count.isPresent()) {
            return Optional.empty();
        }
        if (dim.isEmpty()) {
            return Optional.of(
                    new Split(SplitKind.REPLICATED, 0, List.of(), List.of(), vocabulary));
        }
        long cut = dim.getAsLong();
        if (cut < 0 || cut >= Math.max(shape.rank(), 1)) {
            return Optional.empty();
        }
        if (count.isEmpty() || count.getAsLong() == 1) {
            SplitKind kind = cut == 0 && !manyRanks ? SplitKind.UNKNOWN : SplitKind.SHARDED;
            return Optional.of(new Split(kind, (int) cut, List.of(), List.of(), vocabulary));
        }
        long parts = count.getAsLong();
        if (shape.rank() == 0 || parts < 1 || shape.dim((int) cut) % parts != 0) {
            return Optional.empty();
        }
        List<Long> extents = new ArrayList<>();
        for (long i = 0; i < parts; i++) {
            extents.add(shape.dim((int) cut) / parts);
        }
        return Optional.of(new Split(SplitKind.FUSED, (int) cut, extents, List.of(), vocabulary));
    }

    private static Optional<Split> subParamShape(PickleValue value, boolean vocabulary) {
        if (!(value instanceof PyObject object)
                || !(object.callable() instanceof PyGlobal name)
                || !name.name().equals(SUBPARAM_SHAPE.name())) {
            return Optional.empty();
        }
        Optional<PyDict> fields = object.attributes();
        Optional<List<List<Long>>> shape =
                fields.flatMap(f -> f.find("shape")).flatMap(SplitKeys::extents);
        OptionalLong dim = fields.map(f -> asLong(f, "partition_dim")).orElse(OptionalLong.empty());
        if (shape.isEmpty()
                || dim.isEmpty()
                || dim.getAsLong() < 0
                || dim.getAsLong() >= shape.get().size()) {
            return Optional.empty();
        }
        int cut = (int) dim.getAsLong();
        return Optional.of(
                new Split(SplitKind.FUSED, cut, shape.get().get(cut), shape.get(), vocabulary));
    }

    /// `((32, 16, 16), 64)` as `[[32, 16, 16], [64]]`.
    static Optional<List<List<Long>>> extents(PickleValue shape) {
        List<List<Long>> all = new ArrayList<>();
        for (PickleValue dim : shape.asSequence().orElse(List.of())) {
            List<PickleValue> parts = dim.asSequence().orElse(List.of(dim));
            if (parts.isEmpty() || parts.stream().anyMatch(p -> p.asLong().isEmpty())) {
                return Optional.empty();
            }
            all.add(parts.stream().map(p -> p.asLong().getAsLong()).toList());
        }
        return all.isEmpty() ? Optional.empty() : Optional.of(all);
    }

    /// Keys that nothing here reads.
    static List<String> unknown(PyDict state) {
        List<String> known =
                List.of(
                        PARAM,
                        CAT_DIM,
                        SUB_PARAMS,
                        SUB_PARAM_SHAPE,
                        VOCABULARY,
                        IS_EXPERT,
                        EXPERTS);
        return state.entries().stream()
                .map(e -> e.key().asText().orElseGet(() -> e.key().toString()))
                .filter(key -> !known.contains(key))
                .toList();
    }

    private static OptionalLong asLong(PyDict dict, String key) {
        return dict.find(key).map(PickleValue::asLong).orElse(OptionalLong.empty());
    }
}
