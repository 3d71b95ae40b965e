package io.ucp.formats.deepspeed.universal;

import io.ucp.formats.IncompleteCheckpointException;
import io.ucp.formats.ParameterFacts.Split;
import io.ucp.formats.Scalar;
import io.ucp.formats.TensorEntry;
import io.ucp.formats.deepspeed.CheckpointFile;
import io.ucp.formats.torch.pickle.PickleValue;
import io.ucp.formats.torch.pickle.PyDict;
import io.ucp.io.MalformedFileException;
import io.ucp.tensor.Shape;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;

/// What the files of one parameter's folder say.
///
/// @param states state name -> its whole tensor
/// @param flat whether the tensors are bare and flat (stage 3), their shape being said elsewhere
/// @param split as the keys around the tensor say; [Split#UNKNOWN] where it is bare
/// @param odd what was not understood, a line each
record StateFolder(
        Path folder,
        Map<String, TensorEntry> states,
        Optional<Scalar> step,
        boolean flat,
        Split split,
        List<String> odd) {
    static final String STEP = "step";
    private static final String SUFFIX = ".pt";

    /// The tensor's shape, the same for all states.
    Shape shape() {
        return states.values().iterator().next().shape();
    }

    /// @param manyRanks whether the job had tensor-parallel ranks
    /// @throws IncompleteCheckpointException where there is no state, or two do not fit
    static StateFolder read(Path folder, boolean manyRanks) throws IOException {
        Map<String, State> states = new LinkedHashMap<>();
        List<String> odd = new ArrayList<>();
        Optional<Scalar> step = Optional.empty();
        for (Path path : UniversalFolder.sorted(folder)) {
            String file = path.getFileName().toString();
            if (!file.endsWith(SUFFIX) || !Files.isRegularFile(path)) {
                odd.add("'%s' is not a state file and is left out".formatted(file));
                continue;
            }
            String name = file.substring(0, file.length() - SUFFIX.length());
            CheckpointFile opened = CheckpointFile.open(path);
            if (name.equals(STEP)) {
                step = Optional.of(step(opened));
            } else {
                states.put(name, State.of(opened, manyRanks, odd));
            }
        }
        if (states.isEmpty()) {
            throw new IncompleteCheckpointException(
                    folder.toString(),
                    "the folder holds no state",
                    "fp32.pt and the optimizer's states",
                    "copy it from where the checkpoint was written");
        }
        State first = agreeing(folder, states);
        Map<String, TensorEntry> tensors = new LinkedHashMap<>();
        states.forEach((name, state) -> tensors.put(name, state.tensor()));
        return new StateFolder(folder, tensors, step, first.flat(), first.split(), odd);
    }

    /// All states of a parameter are cut alike.
    private static State agreeing(Path folder, Map<String, State> states)
            throws IncompleteCheckpointException {
        Map.Entry<String, State> first = states.entrySet().iterator().next();
        for (Map.Entry<String, State> each : states.entrySet()) {
            if (!each.getValue().fits(first.getValue())) {
                throw new IncompleteCheckpointException(
                        folder.toString(),
                        "%s.pt holds %s, %s.pt holds %s"
                                .formatted(
                                        first.getKey(),
                                        first.getValue().described(),
                                        each.getKey(),
                                        each.getValue().described()),
                        "every state of a parameter in the same shape, cut alike",
                        "one of the files is of another checkpoint; convert the source again");
            }
        }
        return first.getValue();
    }

    private record State(TensorEntry tensor, boolean flat, Split split) {
        static State of(CheckpointFile file, boolean manyRanks, List<String> odd)
                throws MalformedFileException {
            Optional<TensorEntry> bare = file.tensor(file.root());
            if (bare.isPresent()) {
                if (bare.get().shape().rank() != 1) {
                    throw malformed(
                            file,
                            "a bare tensor of shape " + bare.get().shape(),
                            "a flat one (ZeRO-3), or a dict with 'param'");
                }
                return new State(bare.get(), true, Split.UNKNOWN);
            }
            Optional<PyDict> dict = file.root().asDict();
            Optional<PickleValue> param = dict.flatMap(d -> d.find(SplitKeys.PARAM));
            Optional<TensorEntry> tensor = param.flatMap(file::tensor);
            if (dict.isEmpty() || tensor.isEmpty()) {
                throw malformed(
                        file,
                        param.isPresent() ? "'param' is no tensor" : "there is no 'param'",
                        "a dict with the tensor 'param', or a bare flat tensor (ZeRO-3)");
            }
            Optional<Split> split = SplitKeys.read(dict.get(), tensor.get().shape(), manyRanks);
            if (split.isEmpty()) {
                throw malformed(
                        file,
                        "keys that do not describe a tensor of shape " + tensor.get().shape(),
                        "cat_dim, param_n_sub_params, sub_param_shape, vocab_tensor and"
                                + " ep_num_experts that do");
            }
            for (String key : SplitKeys.unknown(dict.get())) {
                odd.add(
                        "the key '%s' of '%s' is not understood and is left out"
                                .formatted(key, file.label()));
            }
            return new State(tensor.get(), false, split.get());
        }

        boolean fits(State other) {
            return tensor.shape().equals(other.tensor.shape())
                    && flat == other.flat
                    && split.equals(other.split);
        }

        String described() {
            return flat
                    ? "a flat tensor of %d elements".formatted(tensor.shape().count())
                    : "shape %s (%s along dim %d%s%s)"
                            .formatted(
                                    tensor.shape(),
                                    split.kind().name().toLowerCase(Locale.ROOT),
                                    split.dim(),
                                    split.vocabulary() ? ", vocabulary" : "",
                                    split.experts().isPresent() ? ", experts" : "");
        }
    }

    /// A 0-d tensor, or a Python number (optimizers that count in Python).
    private static Scalar step(CheckpointFile file) throws IOException {
        Optional<Scalar> step = file.scalar(file.root());
        if (step.isEmpty()) {
            throw malformed(file, "'step' is no number", "a 0-d tensor or a number");
        }
        return step.get();
    }

    private static MalformedFileException malformed(
            CheckpointFile file, String found, String expected) {
        return new MalformedFileException(
                file.path(), -1, found, expected, "convert the source again");
    }
}
