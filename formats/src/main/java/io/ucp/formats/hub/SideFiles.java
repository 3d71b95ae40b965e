package io.ucp.formats.hub;

import io.ucp.formats.CarriedFile;
import io.ucp.formats.Coordinate;
import io.ucp.formats.Finding;
import io.ucp.formats.TargetFile;
import io.ucp.formats.TargetFile.Part;
import io.ucp.formats.torch.TorchBuilder;
import io.ucp.formats.torch.pickle.PickleValue;
import io.ucp.io.ByteSource;
import io.ucp.io.PlainFile;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.regex.Pattern;
import java.util.stream.Stream;

/// The files beside the weights: `config.json`, the tokenizer's, a trainer's. Carried by their
/// bytes, and written again under their names.
///
/// @param carried in the order of their names
/// @param findings what lies there and is not taken
public record SideFiles(List<CarriedFile> carried, List<Finding> findings) {
    public static final SideFiles NONE = new SideFiles(List.of(), List.of());
    public static final String ROLE = "side";

    /// How files of the folder around a DeepSpeed checkpoint are carried.
    public static final String BESIDE = "beside";

    /// Of the job, not of the model: where a trainer's folder holds a job's checkpoint too.
    private static final Set<String> OF_JOB =
            Set.of(
                    "latest",
                    "latest_universal",
                    "latest_checkpointed_iteration.txt",
                    "zero_to_fp32.py");

    /// The same weights in another form, in whatever framework's.
    private static final Pattern OTHER_WEIGHTS =
            Pattern.compile(
                    ".*\\.(?:safetensors|h5|msgpack|gguf|ggml|onnx|ot|tflite|distcp)"
                            + "|.*\\.(?:safetensors|bin|h5|msgpack)\\.index\\.json"
                            + "|pytorch_model.*\\.bin|model.*\\.bin|consolidated.*\\.pth?");

    public SideFiles {
        carried = List.copyOf(carried);
        findings = List.copyOf(findings);
    }

    /// The plain files of a folder.
    ///
    /// @param weights names of the files that hold parameters
    public static SideFiles read(Path folder, Set<String> weights) throws IOException {
        List<Path> files;
        List<Finding> findings = new ArrayList<>();
        try (Stream<Path> entries = Files.list(folder)) {
            files = entries.sorted().toList();
        }
        List<CarriedFile> carried = new ArrayList<>();
        for (Path file : files) {
            String name = file.getFileName().toString();
            if (weights.contains(name)) {
                continue;
            }
            if (!Files.isRegularFile(file)) {
                String kind =
                        Files.isDirectory(file, LinkOption.NOFOLLOW_LINKS)
                                ? "a folder"
                                : "no plain file";
                findings.add(new Finding(name, kind + ", not taken along"));
            } else if (isWeights(name)) {
                findings.add(new Finding(name, "weights in another form, not taken along"));
            } else {
                carried.add(
                        new CarriedFile(
                                name,
                                ROLE,
                                Coordinate.NONE,
                                Optional.of(PlainFile.of(file)),
                                Optional.empty(),
                                Map.of()));
            }
        }
        return new SideFiles(carried, findings);
    }

    static boolean isWeights(String name) {
        return OTHER_WEIGHTS.matcher(name).matches();
    }

    /// The name under which a carried file lies in a model's folder; empty for what does not belong
    /// there.
    public static Optional<String> nameOf(CarriedFile file) {
        String path = file.path();
        String name =
                file.role().equals(BESIDE) && path.startsWith(BESIDE + "/")
                        ? path.substring(BESIDE.length() + 1)
                        : path;
        boolean belongs = file.role().equals(ROLE) || file.role().equals(BESIDE);
        return belongs
                        && !name.contains("/")
                        && !isWeights(name)
                        && !(file.role().equals(BESIDE) && OF_JOB.contains(name))
                ? Optional.of(name)
                : Optional.empty();
    }

    /// The carried `config.json`, or none.
    public static Optional<CarriedFile> config(List<CarriedFile> carried) {
        return carried.stream()
                .filter(file -> nameOf(file).equals(Optional.of(ModelConfig.FILE)))
                .findFirst();
    }

    /// Its bytes where they are on disk in their own form, else made again from its object.
    public static TargetFile written(CarriedFile file, String name) {
        if (file.file().isPresent()) {
            ByteSource bytes = file.file().get();
            List<Part> parts =
                    bytes.size() == 0
                            ? List.of()
                            : List.of(new Part.Copied(0, bytes, 0, bytes.size()));
            return new TargetFile(name, bytes.size(), parts, List.of(), Optional.empty());
        }
        PickleValue root =
                file.root()
                        .orElseThrow(() -> new IllegalArgumentException(name + " has no content"));
        return new TorchBuilder(file.storages()).file(name, root);
    }
}
