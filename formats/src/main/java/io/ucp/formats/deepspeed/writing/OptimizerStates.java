package io.ucp.formats.deepspeed.writing;

import io.ucp.formats.RefusedException;
import io.ucp.formats.TargetFile;
import io.ucp.formats.deepspeed.writing.FlatParts.Slice;
import io.ucp.formats.deepspeed.writing.OptimizerGroups.Group;
import io.ucp.formats.deepspeed.writing.OptimizerModel.Kind;
import io.ucp.formats.torch.TorchBuilder;
import io.ucp.formats.torch.pickle.PickleValue;
import io.ucp.formats.torch.pickle.PyBool;
import io.ucp.formats.torch.pickle.PyDict;
import io.ucp.formats.torch.pickle.PyFloat;
import io.ucp.formats.torch.pickle.PyGlobal;
import io.ucp.formats.torch.pickle.PyInt;
import io.ucp.formats.torch.pickle.PyList;
import io.ucp.formats.torch.pickle.PyObject;
import io.ucp.formats.torch.pickle.PyText;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/// `[bf16_]zero_pp_rank_D_mp_rank_XX_optim_states.pt`: one rank's part of every optimizer group.
///
/// Source: DeepSpeed `state_dict` of `runtime/bf16_optimizer.py`, `runtime/zero/stage_1_and_2.py`
/// and `runtime/zero/stage3.py` (`_rigid_state_dict`).
final class OptimizerStates {
    /// AutoTP keeps it with the optimizer too.
    private static final String INFO = "universal_checkpoint_info";

    /// Where the experts of AutoEP are cut over other ranks than the rest.
    private static final String PLACES = "ds_zero_partition_groups";

    private final Ranks target;
    private final OptimizerModel model;
    private final OptimizerGroups groups;
    private final Configuration configuration;
    private final CheckpointInfo checkpoint;
    private final Kind kind;
    private final ExpertPlaces experts;
    private final StateTensors tensors;
    private final List<List<String>> sourceSubGroups;

    /// @param sourceSubGroups names of the members of each group of the source's first rank
    OptimizerStates(
            Ranks target,
            OptimizerModel model,
            OptimizerGroups groups,
            Configuration configuration,
            CheckpointInfo checkpoint,
            Kind kind,
            ExpertPlaces experts,
            List<List<String>> sourceSubGroups) {
        this.target = target;
        this.model = model;
        this.groups = groups;
        this.configuration = configuration;
        this.checkpoint = checkpoint;
        this.kind = kind;
        this.experts = experts;
        this.tensors = new StateTensors(model, experts.degree());
        this.sourceSubGroups = sourceSubGroups;
    }

    TargetFile file(String path, int mp, int dp) {
        TorchBuilder torch = new TorchBuilder(model.file().storages());
        PyDict states =
                switch (kind) {
                    case BF16 -> flat(bf16(), torch, mp, dp);
                    case STAGE_1_2 -> flat(stage12(), torch, mp, dp);
                    case STAGE_3 -> stage3(torch, mp, dp);
                    case PLAIN, FUSED, UNFUSED ->
                            throw new IllegalArgumentException("no file of its own: " + kind);
                };
        if (configuration.dtype().isPresent() && kind != Kind.BF16) {
            states =
                    states.with("loss_scaler", scale().scaler())
                            .with("dynamic_loss_scale", new PyBool(scale().dynamic()));
        }
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
        return configuration.sameStage() && model.kind() == Kind.STAGE_1_2
                ? states
                : states.with(OptimizerModel.STAGE, stage(configuration.stage()));
    }

    private PyDict common(List<String> keys) {
        PyDict common = PyDict.empty();
        for (String key : keys) {
            // Without ZeRO a key of this name says something else.
            Optional<PickleValue> own =
                    model.kind().whole() && !key.equals("clip_grad")
                            ? Optional.empty()
                            : model.states().find(key);
            common = common.with(key, own.orElseGet(() -> made(key)));
        }
        Optional<PickleValue> info = model.states().find(INFO);
        return info.isPresent() ? common.with(INFO, info.get()) : common;
    }

    private PickleValue made(String key) {
        return switch (key) {
            case "loss_scaler" -> scale().scaler();
            case "dynamic_loss_scale" -> new PyBool(scale().dynamic());
            case "overflow" -> new PyBool(false);
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

    /// @throws RefusedException where the job needs a scale that the source does not have
    private LossScale scale() {
        return LossScale.of(model, configuration);
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
            masters.add(StateTensors.master(torch, group, stored));
            paddings.add(PyInt.of(padding(group, real)));
            counts.add(PyInt.of(group.count()));
            slices.add(slices(group.said(), group.part()));
            PyDict held = tensors.states(torch, group, elastic() ? real : parts.extent());
            if (elastic()) {
                lean.add(held);
                continue;
            }
            if (held.size() > 0) {
                states.add(new PyDict.Entry(PyInt.of(group.number()), held));
            }
            paramGroups.add(tensors.paramGroup(group.source(), List.of(PyInt.of(group.number()))));
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
            PickleValue flat = StateTensors.master(torch, group, group.parts().extent());
            masters.add(named(flat, g, group));
            PyDict of = tensors.states(torch, group, group.parts().extent());
            if (of.size() > 0) {
                states.add(new PyDict.Entry(PyInt.of(g), of));
            }
            members.computeIfAbsent(group.source(), _ -> new ArrayList<>()).add(PyInt.of(g));
        }
        List<PickleValue> paramGroups = new ArrayList<>();
        members.forEach((source, ids) -> paramGroups.add(tensors.paramGroup(source, ids)));
        PyDict of =
                model.kind() == Kind.STAGE_3
                        ? model.states()
                        : common(List.of("loss_scaler", "dynamic_loss_scale", "overflow"))
                                .with(OptimizerModel.STAGE, stage(3));
        if (held.stream().anyMatch(OptimizerStates::isExpert)) {
            of = of.with(PLACES, PyList.of(places(held, mp, dp)));
        }
        return of.with("partition_count", PyInt.of(target.dp()))
                .with(OptimizerModel.STATES, optimizer(states, paramGroups))
                .with(OptimizerModel.FLAT_3, PyList.of(masters));
    }

    private static boolean isExpert(Group group) {
        return group.parts().members().getFirst().expert();
    }

    /// The ranks that each sub-group is cut over, which a job compares with its own.
    ///
    /// Source: DeepSpeed `runtime/zero/stage3.py` (`_zero3_partition_group_metadata`).
    private List<PickleValue> places(List<Group> held, int mp, int dp) {
        List<PickleValue> all = new ArrayList<>();
        for (int g = 0; g < held.size(); g++) {
            boolean expert = isExpert(held.get(g));
            List<PyInt> ranks = new ArrayList<>();
            for (int rank = 0; rank < target.dp(); rank++) {
                if (!expert || experts.of(mp, rank) == experts.of(mp, dp)) {
                    ranks.add(PyInt.of(rank));
                }
            }
            Map<String, PickleValue> of = new LinkedHashMap<>();
            of.put("sub_group", PyInt.of(g));
            of.put("partition_count", PyInt.of(ranks.size()));
            of.put("partition_rank", PyInt.of(expert ? experts.replica(mp, dp) : dp));
            of.put("partition_ranks", PyList.of(ranks));
            of.put("families", PyList.of(PyText.of(expert ? "autoep_expert" : "replicated")));
            of.put(
                    "group_names",
                    PyList.of(PyText.of(expert ? "ep_size_" + experts.degree() : "replicated")));
            all.add(PyDict.of(of));
        }
        return all;
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
}
