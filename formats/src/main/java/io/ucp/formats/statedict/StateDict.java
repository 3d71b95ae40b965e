package io.ucp.formats.statedict;

import io.ucp.formats.TensorEntry;
import io.ucp.formats.torch.PlainNames;
import io.ucp.formats.torch.TorchContents;
import io.ucp.formats.torch.TorchFile;
import io.ucp.formats.torch.pickle.PickleGraph;
import io.ucp.formats.torch.pickle.PickleValue;
import io.ucp.formats.torch.pickle.PyDict;
import io.ucp.io.MalformedFileException;
import io.ucp.tensor.Floats;

import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/// The state dict in one file.
///
/// @param tensors name as saved -> where it lies, in the order of the dict
/// @param optimizer the optimizer's own dict beside it
/// @param whole whether the file holds the state dict and nothing else
/// @param unread what of the state dict holds tensors and is none itself, one line each: it stays
///   in the file, which is carried
record StateDict(
        TorchContents contents,
        Map<String, TensorEntry> tensors,
        Optional<PickleValue> optimizer,
        boolean whole,
        List<String> unread) {
    /// Keys under which scripts keep a model's state dict.
    private static final List<String> WRAPPERS =
            List.of("model", "state_dict", "module", "model_state_dict");

    private static final List<String> OPTIMIZERS =
            List.of("optimizer", "optim", "optimizer_state_dict");

    Path path() {
        return contents.file().path();
    }

    /// The file's name.
    String label() {
        return path().getFileName().toString();
    }

    static StateDict open(Path path) throws IOException {
        TorchFile file = TorchFile.open(path);
        TorchContents contents = new TorchContents(file);
        Optional<PyDict> root = file.tree().asDict();
        if (root.isEmpty()) {
            throw malformed(path, "an object that is no dict");
        }
        List<String> wrappers =
                WRAPPERS.stream()
                        .filter(
                                key ->
                                        root.get()
                                                .find(key)
                                                .flatMap(PickleValue::asDict)
                                                .filter(dict -> holdsTensors(contents, dict))
                                                .isPresent())
                        .toList();
        boolean direct =
                root.get().entries().stream()
                        .anyMatch(
                                e -> e.key().asText().isPresent() && isWeight(contents, e.value()));
        if (wrappers.size() + (direct ? 1 : 0) > 1) {
            throw malformed(
                    path,
                    "several state dicts: %s%s"
                            .formatted(
                                    direct ? "the file's own tensors and " : "",
                                    String.join(" and ", wrappers)));
        }
        if (wrappers.size() == 1) {
            PickleValue dict = root.get().find(wrappers.getFirst()).orElseThrow();
            NestedDict tensors = NestedDict.of(contents, dict.asDict().orElseThrow());
            Optional<PickleValue> optimizer =
                    OPTIMIZERS.stream().flatMap(key -> root.get().find(key).stream()).findFirst();
            return checked(
                    new StateDict(
                            contents,
                            tensors.tensors(),
                            optimizer,
                            root.get().size() == 1 && tensors.unread().isEmpty(),
                            tensors.unread()));
        }
        NestedDict tensors = NestedDict.of(contents, root.get());
        boolean flat =
                root.get().entries().stream().anyMatch(e -> contents.tensor(e.value()).isPresent());
        if (!flat) {
            throw malformed(
                    path,
                    tensors.tensors().isEmpty()
                            ? "a dict without tensors"
                            : "a dict whose tensors lie deeper, under "
                                    + tensors.tensors().keySet().iterator().next());
        }
        boolean whole =
                root.get().entries().stream().allMatch(e -> contents.tensor(e.value()).isPresent());
        return checked(
                new StateDict(
                        contents,
                        tensors.tensors(),
                        Optional.empty(),
                        whole && tensors.unread().isEmpty(),
                        tensors.unread()));
    }

    private static boolean holdsTensors(TorchContents contents, PyDict dict) {
        boolean[] found = new boolean[1];
        PickleGraph.walk(
                dict,
                node -> {
                    found[0] |= contents.tensor(node).isPresent();
                    return !found[0] && node.asDict().isPresent();
                });
        return found[0];
    }

    /// Beside a state dict, scripts keep counters, which have no dimensions, and random states,
    /// which are bytes.
    private static boolean isWeight(TorchContents contents, PickleValue value) {
        return contents.tensor(value)
                .filter(tensor -> tensor.shape().rank() > 0 && Floats.covers(tensor.dtype()))
                .isPresent();
    }

    private static StateDict checked(StateDict dict) throws MalformedFileException {
        if (dict.tensors().isEmpty()) {
            throw malformed(dict.path(), "a dict without tensors");
        }
        for (String name : dict.tensors().keySet()) {
            if (PlainNames.isFlat(name)) {
                throw new MalformedFileException(
                        dict.path(),
                        -1,
                        "'%s', in which FSDP keeps many parameters end to end".formatted(name),
                        "parameters by their names",
                        "save with StateDictType.FULL_STATE_DICT, or with"
                                + " torch.distributed.checkpoint");
            }
        }
        return dict;
    }

    private static MalformedFileException malformed(Path path, String found) {
        return new MalformedFileException(
                path,
                -1,
                found,
                "a state dict, or one under one of " + String.join(", ", WRAPPERS),
                "load it with torch and save the state dict that is meant by itself");
    }
}
