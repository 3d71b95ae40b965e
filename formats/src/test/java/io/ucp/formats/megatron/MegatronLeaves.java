package io.ucp.formats.megatron;

import io.ucp.formats.TensorEntry;
import io.ucp.formats.torch.pickle.PickleValue;
import io.ucp.formats.torch.pickle.PyDict;
import io.ucp.formats.torch.pickle.PyObject;
import io.ucp.formats.torch.pickle.PyTuple;
import io.ucp.io.ByteReader;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import java.util.stream.Stream;

/// Every leaf of every torch file of a folder: tensors by dtype, shape and bytes, dicts by their
/// keys in order, all else by its value.
final class MegatronLeaves {
    private final Map<String, String> leaves = new TreeMap<>();

    private MegatronLeaves() {}

    static Map<String, String> of(Path folder) throws IOException {
        MegatronLeaves all = new MegatronLeaves();
        List<Path> files;
        try (Stream<Path> walk = Files.walk(folder)) {
            files = walk.filter(p -> p.toString().endsWith(".pt")).sorted().toList();
        }
        for (Path path : files) {
            RankFile file = RankFile.open(path);
            all.add(file, folder.relativize(path) + ":", file.root());
        }
        return all.leaves;
    }

    private void add(RankFile file, String path, PickleValue value) throws IOException {
        Optional<TensorEntry> tensor = file.tensor(value);
        Optional<PyDict> dict =
                value instanceof PyObject object && object.isInstanceOf("argparse", "Namespace")
                        ? object.attributes()
                        : value.asDict();
        Optional<List<PickleValue>> sequence = value.asSequence();
        if (tensor.isPresent()) {
            leaves.put(path, text(tensor.get()));
        } else if (dict.isPresent()) {
            leaves.put(path, dict.get().entries().stream().map(e -> text(e.key())).toList() + "");
            for (PyDict.Entry e : dict.get().entries()) {
                add(file, path + "/" + text(e.key()), e.value());
            }
        } else if (sequence.isPresent()) {
            leaves.put(path, "sequence of " + sequence.get().size());
            for (int i = 0; i < sequence.get().size(); i++) {
                add(file, path + "/" + i, sequence.get().get(i));
            }
        } else {
            leaves.put(path, value.toString());
        }
    }

    private static String text(PickleValue key) {
        return key instanceof PyTuple tuple ? tuple.elements().toString() : key.toString();
    }

    private static String text(TensorEntry tensor) throws IOException {
        ByteBuffer bytes = ByteBuffer.allocate(Math.toIntExact(tensor.size()));
        try (ByteReader reader = tensor.source().open()) {
            reader.read(tensor.offset(), bytes);
        }
        return "%s %s %s"
                .formatted(tensor.dtype(), tensor.shape(), HexFormat.of().formatHex(bytes.array()));
    }
}
