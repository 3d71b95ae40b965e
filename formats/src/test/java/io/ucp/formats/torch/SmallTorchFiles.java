package io.ucp.formats.torch;

import io.ucp.formats.TargetFile;
import io.ucp.formats.torch.pickle.PickleValue;
import io.ucp.formats.torch.pickle.PyDict;
import io.ucp.tensor.DType;
import io.ucp.tensor.Shape;

import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.SequencedMap;

/// Builders of small containers, well-formed and not.
final class SmallTorchFiles {
    private SmallTorchFiles() {}

    /// `{"w": float32 [2, 3]}` with the elements 0 to 5, in storage `0`.
    static Path oneTensor(Path folder) throws IOException {
        Path file = folder.resolve("one.pt");
        PickleValue tree = PyDict.of(Map.of("w", tensor(DType.FLOAT32, "0", 2, 3)));
        TorchWriter.write(file, tree, storages(24));
        return file;
    }

    static PickleValue tensor(DType dtype, String key, long... dims) {
        return TensorPickles.write(TorchTensor.contiguous(dtype, Shape.of(dims), key));
    }

    /// Storages `0`, `1`, .. of these sizes; byte i of each is i.
    static SequencedMap<String, byte[]> storages(int... sizes) {
        SequencedMap<String, byte[]> storages = new LinkedHashMap<>();
        StorageKeys keys = new StorageKeys();
        for (int size : sizes) {
            byte[] bytes = new byte[size];
            for (int i = 0; i < size; i++) {
                bytes[i] = (byte) i;
            }
            storages.put(keys.next(), bytes);
        }
        return storages;
    }

    /// A zip of these records, laid out as torch does, CRC-32s right.
    static byte[] zip(List<Map.Entry<String, byte[]>> records) {
        ZipLayout zip = new ZipLayout();
        records.forEach(record -> zip.literal(record.getKey(), record.getValue()));
        zip.finish();
        List<TargetFile.Part.Literal> literals = zip.literals();
        return literals.getFirst().bytes();
    }

    static byte[] torchZip(byte[] pickle, Map<String, byte[]> others) {
        List<Map.Entry<String, byte[]>> records = new ArrayList<>();
        records.add(Map.entry("archive/data.pkl", pickle));
        others.forEach((name, bytes) -> records.add(Map.entry("archive/" + name, bytes)));
        return zip(records);
    }

    /// A file that torch 2.14 wrote, from the test resources.
    static Path writtenByTorch(Path folder, String name) throws IOException {
        Path file = folder.resolve(name);
        try (InputStream in = SmallTorchFiles.class.getResourceAsStream(name)) {
            if (in == null) {
                throw new IllegalArgumentException(name);
            }
            Files.write(file, in.readAllBytes());
        }
        return file;
    }

    static byte[] pickleOf(Path file) throws IOException {
        TorchFile torch = TorchFile.open(file);
        for (TorchRecord record : torch.records()) {
            if (record.name().equals(torch.root() + "/data.pkl")) {
                return Arrays.copyOfRange(
                        Files.readAllBytes(file), (int) record.offset(), (int) record.end());
            }
        }
        throw new IllegalArgumentException(file.toString());
    }

    static byte[] latin1(String text) {
        return text.getBytes(StandardCharsets.ISO_8859_1);
    }
}
