package io.ucp.formats.deepspeed.writing;

import io.ucp.formats.RefusedException;
import io.ucp.formats.Scalar;
import io.ucp.formats.TargetFile;
import io.ucp.formats.deepspeed.writing.FlatParts.Slice;
import io.ucp.formats.deepspeed.writing.OptimizerGroups.Group;
import io.ucp.formats.deepspeed.writing.OptimizerModel.Kind;
import io.ucp.formats.torch.TensorPickles;
import io.ucp.formats.torch.TorchBuilder;
import io.ucp.formats.torch.TorchTensor;
import io.ucp.formats.torch.pickle.PickleValue;
import io.ucp.formats.torch.pickle.PyBool;
import io.ucp.formats.torch.pickle.PyDict;
import io.ucp.formats.torch.pickle.PyFloat;
import io.ucp.formats.torch.pickle.PyGlobal;
import io.ucp.formats.torch.pickle.PyInt;
import io.ucp.formats.torch.pickle.PyList;
import io.ucp.formats.torch.pickle.PyObject;
import io.ucp.formats.torch.pickle.PyText;
import io.ucp.tensor.DType;
import io.ucp.tensor.Shape;

import java.util.ArrayList;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;

/// `[bf16_]zero_pp_rank_D_mp_rank_XX_optim_states.pt`: one rank's part of every optimizer group.
///
/// Source: DeepSpeed `state_dict` of `runtime/bf16_optimizer.py`, `runtime/zero/stage_1_and_2.py`
/// and `runtime/zero/stage3.py` (`_rigid_state_dict`).
final class OptimizerStates {
    private static final String SCALER_MODULE = "deepspeed.runtime.fp16.loss_scaler";

    /// AutoTP keeps it with the optimizer too.
    private static final String INFO = "universal_checkpoint_info";

    private final Ranks target;
    private final OptimizerModel model;
    private final OptimizerGroups groups;
    private final Configuration configuration;
    private final CheckpointInfo checkpoint;
    private final Kind kind;
    private final int expertRanks;
    private final List<List<String>> sourceSubGroups;

    /// @param expertRanks expert-parallel ranks, 0 where there are no experts
    /// @param sourceSubGroups names of the members of each group of the source's first rank
    OptimizerStates(
            Ranks target,
            OptimizerModel model,
            OptimizerGroups groups,
            Configuration configuration,
            CheckpointInfo checkpoint,
            Kind kind,
            int expertRanks,
            List<List<String>> sourceSubGroups) {
        this.target = target;
        this.model = model;
        this.groups = groups;
        this.configuration = configuration;
        this.checkpoint = checkpoint;
        this.kind = kind;
        this.expertRanks = expertRanks;
        this.sourceSubGroups = sourceSubGroups;
    }

    TargetFile file(String path, int mp, int dp) {
        TorchBuilder torch = new TorchBuilder(model.file().storages());
        PyDict states =
                switch (kind) {
                    case BF16 -> flat(bf16(), torch, mp, dp);
                    case STAGE_1_2 -> flat(stage12(), torch, mp, dp);
                    case STAGE_3 -> stage3(torch, mp, dp);
                };
        Optional<PickleValue> info = states.find(INFO);
        PyDict root =
                model.root()
                        .with(
                                OptimizerModel.STATES,
                                info.isPresent()
                                        ? states.with(INFO, checkpoint.changed(info.get()))
                                        : states);
        if (root.find("ds_config").flatMap(PickleValue::asDict).isPresent()) {
            root = root.with("ds_config", configuration.changed());
        }
        return torch.file(path, root);
    }

    /// The keys that both sides have are the source's; others are as DeepSpeed makes them anew.
    private PyDict bf16() {
        if (model.kind() == Kind.BF16) {
            return model.states();
        }
        return common(List.of("clip_grad", "ds_version"));
    }

    private PyDict stage12() {
        PyDict states =
                model.kind() == Kind.STAGE_1_2
                        ? model.states()
                        : common(
                                List.of(
                                        "loss_scaler",
                                        "dynamic_loss_scale",
                                        "overflow",
                                        "clip_grad",
                                        "ds_version"));
        return configuration.sameStage()
                ? states
                : states.with(OptimizerModel.STAGE, stage(configuration.stage()));
    }

    private PyDict common(List<String> keys) {
        PyDict common = PyDict.empty();
        for (String key : keys) {
            common = common.with(key, model.states().find(key).orElseGet(() -> made(key)));
        }
        Optional<PickleValue> info = model.states().find(INFO);
        return info.isPresent() ? common.with(INFO, info.get()) : common;
    }

    private PickleValue made(String key) {
        return switch (key) {
            case "loss_scaler" -> staticScaler();
            case "dynamic_loss_scale", "overflow" -> new PyBool(false);
            case "clip_grad" -> new PyFloat(configuration.gradientClipping());
            case "ds_version" ->
                    model.root()
                            .find("ds_version")
                            .orElseThrow(
                                    () ->
                                            new RefusedException(
                                                    model.file().path(),
                                                    "no `ds_version`",
                                                    "the version of DeepSpeed that wrote it",
                                                    "leave --zero as it is in the source"));
            default -> throw new IllegalArgumentException(key);
        };
    }

    /// What every job but one of fp16 weights has: a scale of 1 that stays.
    private PickleValue staticScaler() {
        if (configuration.enabled("fp16")) {
            throw new RefusedException(
                    model.file().path(),
                    "fp16 weights and no loss scaler",
                    "the scaler that the job of this stage has",
                    "leave --zero as it is in the source");
        }
        Map<String, PickleValue> attributes = new LinkedHashMap<>();
        attributes.put("cur_scale", new PyFloat(1.0));
        attributes.put("dynamic", new PyBool(false));
        return PyObject.instance(new PyGlobal(SCALER_MODULE, "LossScaler"))
                .withState(PyDict.of(attributes));
    }

    private static PyObject stage(int stage) {
        return PyObject.call(
                new PyGlobal("deepspeed.runtime.zero.config", "ZeroStageEnum"), PyInt.of(stage));
    }

    /// Stages 1 and 2. BF16_Optimizer stores its padding, and all of it is the last rank's; the
    /// other stores the master without its padding, and each rank has its own.
    private PyDict flat(PyDict of, TorchBuilder torch, int mp, int dp) {
        List<PickleValue> masters = new ArrayList<>();
        List<PickleValue> paddings = new ArrayList<>();
        List<PickleValue> counts = new ArrayList<>();
        List<PickleValue> slices = new ArrayList<>();
        List<PickleValue> lean = new ArrayList<>();
        List<PyDict.Entry> states = new ArrayList<>();
        List<PickleValue> paramGroups = new ArrayList<>();
        for (Group group : groups.on(mp, dp)) {
            FlatParts parts = group.parts();
            long real = parts.real(group.part());
            long stored = kind == Kind.BF16 ? parts.extent() : real;
            masters.add(master(torch, group, stored));
            paddings.add(PyInt.of(padding(group, real)));
            counts.add(PyInt.of(group.count()));
            slices.add(slices(parts, group.part()));
            PyDict held = states(torch, group, elastic() ? real : parts.extent());
            if (elastic()) {
                lean.add(held);
                continue;
            }
            if (held.size() > 0) {
                states.add(new PyDict.Entry(PyInt.of(group.number()), held));
            }
            paramGroups.add(paramGroup(group.source(), List.of(PyInt.of(group.number()))));
        }
        return of.with(
                        OptimizerModel.BASE,
                        elastic() ? PyList.of(lean) : optimizer(states, paramGroups))
                .with(OptimizerModel.FLAT_1_2, PyList.of(masters))
                .with("group_paddings", PyList.of(paddings))
                .with("partition_count", PyList.of(counts))
                .with("param_slice_mappings", PyList.of(slices));
    }

    private boolean elastic() {
        return kind == Kind.STAGE_1_2 && model.elastic();
    }

    private long padding(Group group, long real) {
        FlatParts parts = group.parts();
        if (kind != Kind.BF16) {
            return parts.extent() - real;
        }
        long count = parts.members().stream().mapToLong(Held::count).sum();
        return group.part() == group.count() - 1 ? parts.extent() * group.count() - count : 0;
    }

    private static PyDict optimizer(List<PyDict.Entry> states, List<PickleValue> paramGroups) {
        Map<String, PickleValue> optimizer = new LinkedHashMap<>();
        optimizer.put("state", PyDict.of(states));
        optimizer.put("param_groups", PyList.of(paramGroups));
        return PyDict.of(optimizer);
    }

    private PickleValue paramGroup(int source, List<PyInt> members) {
        if (source >= model.paramGroups().size()) {
            throw new RefusedException(
                    model.file().path(),
                    "no hyperparameters of optimizer group " + source,
                    "`param_groups` with one entry a group",
                    "--to deepspeed-universal, where the job has its own");
        }
        PyDict group = model.paramGroups().get(source).asDict().orElse(PyDict.empty());
        if (ExpertGroups.isExpert(group)) {
            group = group.with("name", PyText.of("ep_size_" + expertRanks));
        }
        return group.with("params", PyList.of(members));
    }

    private static PyObject slices(FlatParts parts, int part) {
        Map<String, PickleValue> slices = new LinkedHashMap<>();
        for (Slice slice : parts.ranks().get(part)) {
            Map<String, PickleValue> address = new LinkedHashMap<>();
            address.put("numel", PyInt.of(slice.to() - slice.from()));
            address.put("start", PyInt.of(slice.start()));
            slices.put(
                    slice.member().name(),
                    PyObject.instance(
                                    new PyGlobal(
                                            "deepspeed.utils.tensor_fragment", "fragment_address"))
                            .withState(PyDict.of(address)));
        }
        return PyObject.orderedDict(PyDict.of(slices));
    }

    private PyDict stage3(TorchBuilder torch, int mp, int dp) {
        List<PickleValue> masters = new ArrayList<>();
        List<PyDict.Entry> states = new ArrayList<>();
        Map<Integer, List<PyInt>> members = new LinkedHashMap<>();
        List<Group> held = groups.on(mp, dp);
        for (int g = 0; g < held.size(); g++) {
            Group group = held.get(g);
            PickleValue flat = master(torch, group, group.parts().extent());
            masters.add(named(flat, g, group));
            PyDict of = states(torch, group, group.parts().extent());
            if (of.size() > 0) {
                states.add(new PyDict.Entry(PyInt.of(g), of));
            }
            members.computeIfAbsent(group.source(), _ -> new ArrayList<>()).add(PyInt.of(g));
        }
        List<PickleValue> paramGroups = new ArrayList<>();
        members.forEach((source, ids) -> paramGroups.add(paramGroup(source, ids)));
        PyDict of =
                model.kind() == Kind.STAGE_3
                        ? model.states()
                        : common(List.of("loss_scaler", "dynamic_loss_scale", "overflow"))
                                .with(OptimizerModel.STAGE, stage(3));
        return of.with("partition_count", PyInt.of(target.dp()))
                .with(OptimizerModel.STATES, optimizer(states, paramGroups))
                .with(OptimizerModel.FLAT_3, PyList.of(masters));
    }

    /// DeepSpeed marks a flat tensor with the numbers of its first and last parameter (`ds_id`),
    /// which nothing reads back: kept where the sub-group has the same members.
    private PickleValue named(PickleValue tensor, int number, Group group) {
        List<PickleValue> flats =
                model.states()
                        .find(OptimizerModel.FLAT_3)
                        .flatMap(PickleValue::asSequence)
                        .orElse(List.of());
        boolean same =
                number < flats.size()
                        && number < sourceSubGroups.size()
                        && sourceSubGroups
                                .get(number)
                                .equals(group.parts().members().stream().map(Held::name).toList());
        if (same
                && flats.get(number) instanceof PyObject wrapped
                && wrapped.isCallOf("torch._tensor", "_rebuild_from_type_v2")
                && wrapped.argument(3).isPresent()
                && tensor instanceof PyObject plain) {
            return PyObject.call(
                    wrapped.callable(),
                    plain.callable(),
                    wrapped.argument(1).orElseThrow(),
                    plain.arguments(),
                    wrapped.argument(3).orElseThrow());
        }
        return tensor;
    }

    private static PickleValue master(TorchBuilder torch, Group group, long count) {
        DType dtype = dtype(group, Held.FP32);
        TorchTensor tensor =
                torch.tensor(
                        dtype,
                        Shape.of(count),
                        group.parts().parts(group.part(), Held.FP32, dtype));
        return TensorPickles.write(tensor.requiringGrad(true));
    }

    private static DType dtype(Group group, String state) {
        Held first = group.parts().members().getFirst();
        DType dtype = first.dtype(state);
        for (Held member : group.parts().members()) {
            if (member.dtype(state) != dtype) {
                throw new RefusedException(
                        member.facts().name(),
                        "`%s` is %s, and %s of %s"
                                .formatted(
                                        state,
                                        member.dtype(state).torchName(),
                                        dtype.torchName(),
                                        first.facts().name()),
                        "one dtype in an optimizer group",
                        "--to deepspeed-universal, which holds each parameter by itself");
            }
        }
        return dtype;
    }

    /// The optimizer's own states of a group, in the order of the source's.
    private PyDict states(TorchBuilder torch, Group group, long count) {
        Map<String, PickleValue> model = this.model.statesOf(group.source());
        Held first = group.parts().members().getFirst();
        Set<String> names = new LinkedHashSet<>(model.keySet());
        if (names.isEmpty()) {
            first.facts().scalars().keySet().stream()
                    .filter(s -> !this.model.keepsForGroup(group.source(), s))
                    .forEach(names::add);
        }
        first.facts().states().keySet().stream()
                .filter(s -> !s.equals(Held.FP32) && !s.equals(Held.WEIGHT))
                .forEach(names::add);
        Map<String, PickleValue> states = new LinkedHashMap<>();
        for (String name : names) {
            if (first.facts().states().containsKey(name)) {
                DType dtype = dtype(group, name);
                states.put(
                        name,
                        TensorPickles.write(
                                torch.tensor(
                                        dtype,
                                        Shape.of(count),
                                        group.parts().parts(group.part(), name, dtype))));
            } else if (first.facts().scalars().containsKey(name)) {
                states.put(name, torch.scalar(scalar(group, name)));
            } else if (model.getOrDefault(name, PyText.of("")).isNone()) {
                states.put(name, model.get(name));
            } else {
                throw new RefusedException(
                        this.model.file().path(),
                        "the optimizer's state `%s`, which is neither a number nor as long as the"
                                        .formatted(name)
                                + " group",
                        "states that can be cut as parameters are",
                        "--to universal keeps the file as it is");
            }
        }
        return PyDict.of(Collections.unmodifiableMap(states));
    }

    private static Scalar scalar(Group group, String name) {
        Held first = group.parts().members().getFirst();
        Scalar value = first.facts().scalars().get(name);
        for (Held member : group.parts().members()) {
            Scalar other = member.facts().scalars().get(name);
            if (value == null || !value.equals(other)) {
                throw new RefusedException(
                        member.facts().name(),
                        "`%s` is %s, and %s of %s"
                                .formatted(name, other, value, first.facts().name()),
                        "one value in an optimizer group",
                        "--to deepspeed-universal, which holds each parameter by itself");
            }
        }
        return java.util.Objects.requireNonNull(value);
    }
}
