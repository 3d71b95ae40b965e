package io.ucp.formats.deepspeed;

import io.ucp.formats.Finding;
import io.ucp.formats.HeldTensor;
import io.ucp.formats.TensorEntry;
import io.ucp.formats.torch.pickle.PickleValue;
import io.ucp.formats.torch.pickle.PyDict;

import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.OptionalLong;

/// The optimizer of a job without ZeRO, whose state is in the model states under `optimizer`.
///
/// A torch optimizer numbers its parameters in the order in which it was given them. With one group
/// that is the model's own order, by every shape; its states are then holdings. Otherwise the file
/// does not say which parameter is which: the weights are the truth, and the optimizer stays in the
/// file as it is.
final class WholeOptimizer {
    private WholeOptimizer() {}

    static List<HeldTensor> read(
            CheckpointFiles files, Degrees degrees, Weights weights, List<Finding> findings)
            throws IOException {
        List<HeldTensor> all = new ArrayList<>();
        if (!files.optimizers().isEmpty()) {
            return all;
        }
        if (!files.expertOptimizers().isEmpty()) {
            findings.add(
                    new Finding(
                            files.expertOptimizers().getFirst().label(),
                            "the optimizer of a job without ZeRO that has experts stays in its"
                                    + " files as it is"));
        }
        for (int mp = 0; mp < degrees.mp(); mp++) {
            ModelStates model = files.model(mp);
            Optional<PickleValue> optimizer =
                    model.file().root().find("optimizer").filter(v -> !v.isNone());
            if (optimizer.isPresent()) {
                int rank = mp;
                List<HeldTensor> own =
                        weights.tensors().stream()
                                .filter(t -> t.at().equals(degrees.at(rank)))
                                .filter(t -> !weights.buffers().contains(t.name()))
                                .toList();
                Optional<List<HeldTensor>> states = states(model.file(), optimizer.get(), own);
                all.addAll(states.orElse(List.of()));
                tell(model.file(), states.isPresent(), findings);
            }
        }
        return all;
    }

    private static void tell(CheckpointFile file, boolean taken, List<Finding> findings) {
        findings.add(
                new Finding(
                        file.label(),
                        taken
                                ? "the optimizer numbers its parameters: taken in the model's"
                                        + " order, which every shape fits"
                                : "the optimizer of a job without ZeRO does not name its"
                                        + " parameters: it stays in the file as it is, the weights"
                                        + " are taken"));
    }

    private static Optional<List<HeldTensor>> states(
            CheckpointFile file, PickleValue optimizer, List<HeldTensor> parameters)
            throws IOException {
        List<PickleValue> groups =
                optimizer.find("param_groups").flatMap(PickleValue::asSequence).orElse(List.of());
        Optional<PyDict> state = optimizer.find("state").flatMap(PickleValue::asDict);
        if (groups.size() != 1 || state.isEmpty()) {
            return Optional.empty();
        }
        List<PickleValue> numbers =
                groups.getFirst().find("params").flatMap(PickleValue::asSequence).orElse(List.of());
        if (numbers.size() != parameters.size()) {
            return Optional.empty();
        }
        List<HeldTensor> held = new ArrayList<>();
        for (int i = 0; i < numbers.size(); i++) {
            OptionalLong number = numbers.get(i).asLong();
            Optional<PyDict> own =
                    number.isEmpty()
                            ? Optional.empty()
                            : state.get().find(number.getAsLong()).flatMap(PickleValue::asDict);
            if (own.isPresent() && !take(file, own.get(), parameters.get(i), held)) {
                return Optional.empty();
            }
        }
        return held.isEmpty() ? Optional.empty() : Optional.of(held);
    }

    /// False where a state does not fit the parameter.
    private static boolean take(
            CheckpointFile file, PyDict states, HeldTensor parameter, List<HeldTensor> held) {
        for (PyDict.Entry entry : states.entries()) {
            Optional<TensorEntry> tensor =
                    file.tensor(entry.value()).filter(t -> t.shape().rank() > 0);
            if (tensor.isPresent()) {
                if (!tensor.get().shape().equals(parameter.tensor().shape())) {
                    return false;
                }
                String state = entry.key().asText().orElse(entry.key().toString());
                held.add(new HeldTensor(parameter.name(), state, parameter.at(), tensor.get()));
            }
        }
        return true;
    }
}
