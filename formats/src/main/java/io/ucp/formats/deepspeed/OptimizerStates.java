package io.ucp.formats.deepspeed;

import io.ucp.formats.RefusedException;
import io.ucp.formats.Scalar;
import io.ucp.formats.TensorEntry;
import io.ucp.formats.torch.pickle.PickleValue;
import io.ucp.formats.torch.pickle.PyDict;
import io.ucp.formats.torch.pickle.PyObject;
import io.ucp.io.MalformedFileException;

import java.io.IOException;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.OptionalLong;
import java.util.Set;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import java.util.stream.LongStream;

/// An `optim_states` file: one rank's part of every optimizer group (ZeRO-3: of every sub-group).
///
/// @param stage the ZeRO stage; BF16_Optimizer writes none and cuts as stage 1 does
/// @param groups in the order of the file
record OptimizerStates(CheckpointFile file, int stage, List<Group> groups) {

    /// @param optimizerGroup number in `param_groups`, -1 where the file does not tell
    /// @param master the fp32 tensor, empty where there is none
    /// @param states tensors of the optimizer, of whatever length
    /// @param unread states that are neither tensors nor numbers
    /// @param partitions ranks that the group is cut over, where the file tells
    /// @param padding elements of padding in this part (BF16_Optimizer: in the last part all)
    /// @param slices name -> where this part holds it, where the file tells
    /// @param expert the group's parameters are experts
    /// @param expertRanks the degree in the name `ep_size_N`
    record Group(
            int number,
            int optimizerGroup,
            Optional<TensorEntry> master,
            Map<String, TensorEntry> states,
            Map<String, Scalar> scalars,
            List<String> unread,
            OptionalInt partitions,
            OptionalInt partitionRank,
            OptionalLong padding,
            Optional<Map<String, Slice>> slices,
            boolean expert,
            OptionalInt expertRanks) {}

    /// Elements `[start, start + count)` of a rank's part.
    record Slice(long start, long count) {}

    static OptimizerStates of(CheckpointFile file) throws IOException {
        PyDict states =
                file.dict(
                        file.root()
                                .find("optimizer_state_dict")
                                .orElseThrow(
                                        () ->
                                                file.malformed(
                                                        "no `optimizer_state_dict`",
                                                        "the optimizer states of one rank")),
                        "a dict under `optimizer_state_dict`");
        if (states.has("fp32_flat_groups")) {
            return new OptimizerStates(file, 3, stage3(file, states));
        }
        if (states.has("single_partition_of_fp32_groups")) {
            return new OptimizerStates(file, stage(states), stage12(file, states));
        }
        throw new RefusedException(
                file.label(),
                "optimizer states of a kind that is not read: " + keys(states),
                "`single_partition_of_fp32_groups` (ZeRO-1, ZeRO-2, BF16_Optimizer) or"
                        + " `fp32_flat_groups` (ZeRO-3)",
                "load the checkpoint with the DeepSpeed that wrote it and save it with 0.6 or"
                        + " newer");
    }

    private static List<String> keys(PyDict dict) {
        return dict.entries().stream().map(e -> e.key().toString()).limit(12).toList();
    }

    /// `ZeroStageEnum(2)`, or a number in older files.
    private static int stage(PyDict states) {
        Optional<PickleValue> value = states.find("zero_stage");
        if (value.isPresent() && value.get() instanceof PyObject object) {
            value = object.argument(0);
        }
        long stage = value.map(PickleValue::asLong).orElse(OptionalLong.empty()).orElse(1);
        return stage == 2 ? 2 : 1;
    }

    private static List<Group> stage12(CheckpointFile file, PyDict states) throws IOException {
        List<PickleValue> masters = file.sequence(states, "single_partition_of_fp32_groups");
        PickleValue base =
                states.find("base_optimizer_state")
                        .orElseThrow(
                                () ->
                                        file.malformed(
                                                "no `base_optimizer_state`",
                                                "the states of the optimizer"));
        List<PickleValue> paramGroups =
                base.find("param_groups").flatMap(PickleValue::asSequence).orElse(List.of());
        List<PickleValue> paddings = listOrEmpty(states, "group_paddings");
        List<PickleValue> slices = listOrEmpty(states, "param_slice_mappings");
        List<Group> groups = new ArrayList<>();
        Set<Long> asked = new HashSet<>();
        for (int g = 0; g < masters.size(); g++) {
            Optional<PickleValue> paramGroup = at(paramGroups, g);
            GroupStates of = new GroupStates(file);
            Optional<PickleValue> held = stateOf(base, paramGroup, g);
            if (held.isPresent()) {
                of.take(file.dict(held.get(), "a dict of states for group " + g));
            }
            of.step(paramGroup.flatMap(p -> p.find("step")));
            of.step(states.find("base_optimizer_state_step"));
            asked.add(numberOf(paramGroup, g));
            groups.add(
                    new Group(
                            g,
                            g,
                            file.tensor(masters.get(g)),
                            of.tensors,
                            of.scalars,
                            of.unread,
                            partitions(states.find("partition_count"), g),
                            OptionalInt.empty(),
                            at(paddings, g).map(PickleValue::asLong).orElse(OptionalLong.empty()),
                            slices(file, at(slices, g)),
                            paramGroup
                                    .flatMap(p -> p.find("moe"))
                                    .flatMap(PickleValue::asBool)
                                    .orElse(false),
                            expertRanks(paramGroup)));
        }
        refuseOthers(file, base.find("state"), asked);
        return groups;
    }

    /// `{state: {number: states}, param_groups: [..]}`, or, in elastic checkpoints, a list of
    /// states.
    private static Optional<PickleValue> stateOf(
            PickleValue base, Optional<PickleValue> paramGroup, int group) {
        Optional<List<PickleValue>> elastic = base.asSequence();
        if (elastic.isPresent()) {
            return at(elastic.get(), group);
        }
        return base.find("state")
                .flatMap(PickleValue::asDict)
                .flatMap(d -> d.find(numberOf(paramGroup, group)));
    }

    /// Under which the states of a group are.
    private static long numberOf(Optional<PickleValue> paramGroup, int group) {
        return paramGroup
                .flatMap(p -> p.find("params"))
                .flatMap(PickleValue::asSequence)
                .filter(params -> params.size() == 1)
                .map(params -> params.getFirst().asLong())
                .orElse(OptionalLong.empty())
                .orElse(group);
    }

    /// States of no group would be lost.
    private static void refuseOthers(
            CheckpointFile file, Optional<? extends PickleValue> state, Set<Long> asked)
            throws MalformedFileException {
        for (PyDict.Entry entry :
                state.flatMap(PickleValue::asDict).map(PyDict::entries).orElse(List.of())) {
            OptionalLong number = entry.key().asLong();
            if (number.isEmpty() || !asked.contains(number.getAsLong())) {
                throw file.malformed(
                        "the optimizer has states under %s, which no group of it names"
                                .formatted(entry.key()),
                        "states under the numbers of its %d groups".formatted(asked.size()));
            }
        }
    }

    private static List<Group> stage3(CheckpointFile file, PyDict states) throws IOException {
        List<PickleValue> masters = file.sequence(states, "fp32_flat_groups");
        Optional<PickleValue> base = states.find("optimizer_state_dict");
        List<PickleValue> paramGroups =
                base.flatMap(b -> b.find("param_groups"))
                        .flatMap(PickleValue::asSequence)
                        .orElse(List.of());
        List<PickleValue> placements = listOrEmpty(states, "ds_zero_partition_groups");
        Optional<PyDict> state = base.flatMap(b -> b.find("state")).flatMap(PickleValue::asDict);
        List<Group> groups = new ArrayList<>();
        refuseOthers(
                file,
                state,
                LongStream.range(0, masters.size()).boxed().collect(Collectors.toSet()));
        for (int g = 0; g < masters.size(); g++) {
            int number = g;
            int owner = ownerOf(paramGroups, g);
            GroupStates of = new GroupStates(file);
            Optional<PickleValue> held = state.flatMap(d -> d.find(number));
            if (held.isPresent()) {
                of.take(file.dict(held.get(), "a dict of states for sub-group " + g));
            }
            of.step(at(paramGroups, owner).flatMap(p -> p.find("step")));
            Optional<PickleValue> placement = at(placements, g);
            OptionalInt count = number(placement.flatMap(p -> p.find("partition_count")));
            groups.add(
                    new Group(
                            g,
                            owner,
                            file.tensor(masters.get(g)),
                            of.tensors,
                            of.scalars,
                            of.unread,
                            count.isPresent() ? count : number(states.find("partition_count")),
                            number(placement.flatMap(p -> p.find("partition_rank"))),
                            OptionalLong.empty(),
                            Optional.empty(),
                            placement
                                    .flatMap(p -> p.find("families"))
                                    .flatMap(PickleValue::asSequence)
                                    .filter(f -> f.stream().anyMatch(OptimizerStates::isExpert))
                                    .isPresent(),
                            OptionalInt.empty()));
        }
        return groups;
    }

    private static boolean isExpert(PickleValue family) {
        return family.asText().filter("autoep_expert"::equals).isPresent();
    }

    /// The group of `param_groups` that lists the sub-group, -1 where none does.
    private static int ownerOf(List<PickleValue> paramGroups, int subGroup) {
        for (int g = 0; g < paramGroups.size(); g++) {
            boolean lists =
                    paramGroups
                            .get(g)
                            .find("params")
                            .flatMap(PickleValue::asSequence)
                            .orElse(List.of())
                            .stream()
                            .anyMatch(p -> p.asLong().orElse(-1) == subGroup);
            if (lists) {
                return g;
            }
        }
        return paramGroups.size() == 1 ? 0 : -1;
    }

    private static OptionalInt partitions(Optional<PickleValue> value, int group) {
        Optional<List<PickleValue>> each = value.flatMap(PickleValue::asSequence);
        return number(each.isPresent() ? at(each.get(), group) : value);
    }

    private static OptionalInt number(Optional<PickleValue> value) {
        long number = value.map(PickleValue::asLong).orElse(OptionalLong.empty()).orElse(-1);
        return number < 0 || number > Integer.MAX_VALUE
                ? OptionalInt.empty()
                : OptionalInt.of((int) number);
    }

    private static final Pattern EP_SIZE = Pattern.compile("ep_size_(\\d{1,6})");

    private static OptionalInt expertRanks(Optional<PickleValue> paramGroup) {
        Optional<String> name =
                paramGroup.flatMap(p -> p.find("name")).flatMap(PickleValue::asText);
        Matcher m = EP_SIZE.matcher(name.orElse(""));
        return m.find() ? OptionalInt.of(Integer.parseInt(m.group(1))) : OptionalInt.empty();
    }

    private static Optional<Map<String, Slice>> slices(
            CheckpointFile file, Optional<PickleValue> mapping) throws IOException {
        Optional<PyDict> dict = mapping.flatMap(PickleValue::asDict);
        if (dict.isEmpty()) {
            return Optional.empty();
        }
        Map<String, Slice> slices = new LinkedHashMap<>();
        for (PyDict.Entry entry : dict.get().entries()) {
            Optional<PyDict> address =
                    entry.value() instanceof PyObject object
                            ? object.attributes()
                            : entry.value().asDict();
            long start = field(address, "start");
            long count = field(address, "numel");
            if (entry.key().asText().isEmpty() || start < 0 || count < 0) {
                throw file.malformed(
                        "`param_slice_mappings` has no usable place of " + entry.key(),
                        "a fragment_address with a start and a numel");
            }
            slices.put(entry.key().asText().get(), new Slice(start, count));
        }
        return Optional.of(slices);
    }

    private static long field(Optional<PyDict> address, String key) {
        return address.flatMap(a -> a.find(key))
                .map(PickleValue::asLong)
                .orElse(OptionalLong.empty())
                .orElse(-1);
    }

    private static List<PickleValue> listOrEmpty(PyDict dict, String key) {
        return dict.find(key).flatMap(PickleValue::asSequence).orElse(List.of());
    }

    private static Optional<PickleValue> at(List<PickleValue> list, int index) {
        return index >= 0 && index < list.size() ? Optional.of(list.get(index)) : Optional.empty();
    }

    /// The states of one group while they are collected.
    private static final class GroupStates {
        private final CheckpointFile file;
        private final Map<String, TensorEntry> tensors = new LinkedHashMap<>();
        private final Map<String, Scalar> scalars = new LinkedHashMap<>();
        private final List<String> unread = new ArrayList<>();

        GroupStates(CheckpointFile file) {
            this.file = file;
        }

        void take(PyDict states) throws IOException {
            for (PyDict.Entry entry : states.entries()) {
                String name = entry.key().asText().orElse(entry.key().toString());
                PickleValue value = entry.value();
                if (value.isNone()) {
                    continue;
                }
                Optional<Scalar> scalar = file.scalar(value);
                Optional<TensorEntry> tensor = file.tensor(value);
                if (scalar.isPresent()) {
                    scalars.put(name, scalar.get());
                } else if (tensor.isPresent()) {
                    tensors.put(name, tensor.get());
                } else {
                    unread.add(name);
                }
            }
        }

        /// A step that older optimizers keep once for the group.
        void step(Optional<PickleValue> value) throws IOException {
            if (value.isPresent() && !scalars.containsKey("step") && !tensors.containsKey("step")) {
                Optional<Scalar> scalar = file.scalar(value.get());
                if (scalar.isPresent()) {
                    scalars.put("step", scalar.get());
                }
            }
        }
    }
}
