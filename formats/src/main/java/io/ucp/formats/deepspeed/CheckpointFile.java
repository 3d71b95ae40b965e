package io.ucp.formats.deepspeed;

import io.ucp.formats.CarriedFile;
import io.ucp.formats.Coordinate;
import io.ucp.formats.Scalar;
import io.ucp.formats.TensorEntry;
import io.ucp.formats.torch.TorchContents;
import io.ucp.formats.torch.TorchFile;
import io.ucp.formats.torch.pickle.PickleValue;
import io.ucp.formats.torch.pickle.PyDict;
import io.ucp.io.MalformedFileException;

import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;

/// A torch file of the tag folder: its pickle is read, its tensors are where they are.
public record CheckpointFile(TorchFile torch, FileName name) {
    public static CheckpointFile open(Path path) throws IOException {
        return new CheckpointFile(TorchFile.open(path), FileName.of(TagFolder.nameOf(path)));
    }

    public PickleValue root() {
        return torch.tree();
    }

    public Path path() {
        return torch.path();
    }

    /// The file's name, for messages.
    public String label() {
        return TagFolder.nameOf(path());
    }

    public Optional<TensorEntry> tensor(PickleValue node) {
        return new TorchContents(torch).tensor(node);
    }

    /// A number, or a tensor without dims, whose bytes are read.
    public Optional<Scalar> scalar(PickleValue value) throws IOException {
        return new TorchContents(torch).scalar(value);
    }

    /// The value of a tensor of one element.
    static Scalar read(TensorEntry tensor) throws IOException {
        return TorchContents.read(tensor);
    }

    PyDict dict(PickleValue value, String expected) throws MalformedFileException {
        return new TorchContents(torch).dict(value, expected);
    }

    List<PickleValue> sequence(PyDict dict, String key) throws MalformedFileException {
        return new TorchContents(torch).sequence(dict, key);
    }

    MalformedFileException malformed(String found, String expected) {
        return malformed(found, expected, "");
    }

    MalformedFileException malformed(String found, String expected, String remedy) {
        return new TorchContents(torch).malformed(found, expected, remedy);
    }

    public CarriedFile carried(String as, String role, Coordinate at) {
        return new TorchContents(torch).carried(as, role, at);
    }
}
