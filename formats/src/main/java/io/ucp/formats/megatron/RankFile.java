package io.ucp.formats.megatron;

import io.ucp.formats.CarriedFile;
import io.ucp.formats.Coordinate;
import io.ucp.formats.Scalar;
import io.ucp.formats.TensorEntry;
import io.ucp.formats.mcore.IterationFolder;
import io.ucp.formats.torch.TorchContents;
import io.ucp.formats.torch.TorchFile;
import io.ucp.formats.torch.pickle.PickleValue;
import io.ucp.formats.torch.pickle.PyDict;
import io.ucp.io.MalformedFileException;

import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;

/// A torch file of a rank's folder: its pickle is read, its tensors are where they are.
record RankFile(TorchContents contents) {
    static RankFile open(Path path) throws IOException {
        return new RankFile(new TorchContents(TorchFile.open(path)));
    }

    PickleValue root() {
        return contents.file().tree();
    }

    Path path() {
        return contents.file().path();
    }

    /// `mp_rank_00/model_optim_rng.pt`.
    String label() {
        Path folder = path().getParent();
        return folder == null
                ? IterationFolder.nameOf(path())
                : IterationFolder.nameOf(folder) + "/" + IterationFolder.nameOf(path());
    }

    Optional<TensorEntry> tensor(PickleValue node) {
        return contents.tensor(node);
    }

    Optional<Scalar> scalar(PickleValue value) throws IOException {
        return contents.scalar(value);
    }

    PyDict dict(PickleValue value, String expected) throws MalformedFileException {
        return contents.dict(value, expected);
    }

    List<PickleValue> sequence(PyDict dict, String key) throws MalformedFileException {
        return contents.sequence(dict, key);
    }

    MalformedFileException malformed(String found, String expected) {
        return malformed(found, expected, "");
    }

    MalformedFileException malformed(String found, String expected, String remedy) {
        return contents.malformed(found, expected, remedy);
    }

    CarriedFile carried(String role, Coordinate at) {
        return contents.carried(label(), role, at);
    }
}
