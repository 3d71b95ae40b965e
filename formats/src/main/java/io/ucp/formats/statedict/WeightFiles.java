package io.ucp.formats.statedict;

import io.ucp.formats.IncompleteCheckpointException;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;

/// Which files of a folder are a state dict, by their names.
///
/// @param files names, in order; empty where the index says
/// @param index of the files, where there is one
record WeightFiles(Path folder, List<String> files, Optional<String> index) {
    static final String STEM = "pytorch_model";
    static final String SUFFIX = ".bin";
    static final String MODEL = STEM + SUFFIX;
    static final String INDEX_SUFFIX = ".index.json";

    /// Where ucp writes the other states.
    static final String OPTIMIZER = "optimizer.pt";

    private static final Pattern TORCH = Pattern.compile(".*\\.(?:pt|pth|bin|ckpt)");
    private static final Pattern NUMBERED =
            Pattern.compile("pytorch_model-(\\d{5})-of-(\\d{5})\\.bin");

    /// Of a trainer: beside weights, never weights.
    private static final Pattern BESIDE =
            Pattern.compile(
                    "training_args\\.bin|(?:optimizer|scheduler|scaler)(?:_\\d+)?\\.(?:pt|bin)"
                            + "|rng_state(?:_\\d+)?\\.pth|random_states_\\d+\\.pkl");

    /// Of frameworks whose checkpoints are folders.
    private static final Pattern OF_FRAMEWORKS =
            Pattern.compile(
                    "(?:bf16_|fp16_)?(?:zero_pp_rank|mp_rank|expp_rank)_.*|layer_\\d+.*"
                        + "|.*_(?:model|optim)_states\\.pt|model_optim_rng\\.pt|distrib_optim\\.pt"
                        + "|common\\.pt|optimizer_state\\.pt|\\.metadata|.*\\.distcp|metadata\\.json"
                        + "|latest_checkpointed_iteration\\.txt");

    WeightFiles {
        files = List.copyOf(files);
    }

    /// What a file or a folder holds, each by itself where a folder has several.
    static List<WeightFiles> in(Path path) throws IOException {
        if (Files.isRegularFile(path)) {
            return ofFile(path);
        }
        if (!Files.isDirectory(path)) {
            return List.of();
        }
        TreeSet<String> names = new TreeSet<>();
        try (Stream<Path> entries = Files.list(path)) {
            entries.filter(Files::isRegularFile)
                    .map(file -> file.getFileName().toString())
                    .forEach(names::add);
        }
        if (names.stream().anyMatch(name -> OF_FRAMEWORKS.matcher(name).matches())) {
            return List.of();
        }
        if (names.contains(MODEL + INDEX_SUFFIX)) {
            return List.of(indexed(path, MODEL + INDEX_SUFFIX));
        }
        if (names.contains(MODEL)) {
            return List.of(single(path, MODEL));
        }
        List<String> numbered = names.stream().filter(n -> NUMBERED.matcher(n).matches()).toList();
        if (!numbered.isEmpty()) {
            return List.of(new WeightFiles(path, numbered, Optional.empty()));
        }
        return names.stream().filter(WeightFiles::isOne).map(name -> single(path, name)).toList();
    }

    private static List<WeightFiles> ofFile(Path path) {
        String name = path.getFileName().toString();
        Path folder = Optional.ofNullable(path.toAbsolutePath().getParent()).orElse(path);
        if (name.endsWith(SUFFIX + INDEX_SUFFIX)) {
            return List.of(indexed(folder, name));
        }
        return isOne(name) ? List.of(single(folder, name)) : List.of();
    }

    private static boolean isOne(String name) {
        return TORCH.matcher(name).matches()
                && !BESIDE.matcher(name).matches()
                && !OF_FRAMEWORKS.matcher(name).matches();
    }

    private static WeightFiles single(Path folder, String name) {
        return new WeightFiles(folder, List.of(name), Optional.empty());
    }

    private static WeightFiles indexed(Path folder, String name) {
        return new WeightFiles(folder, List.of(), Optional.of(name));
    }

    /// Whether this is the model of a folder, with the files beside it, rather than one file.
    ///
    /// @param named what the user named
    boolean isFolder(Path named) {
        boolean numbered = files.stream().anyMatch(file -> NUMBERED.matcher(file).matches());
        return index.isPresent()
                || files.size() > 1
                || files.getFirst().equals(MODEL)
                || (numbered && Files.isDirectory(named));
    }

    /// What a candidate names: the folder, or the file.
    Path place(Path named) {
        return isFolder(named) ? folder : folder.resolve(files.getFirst());
    }

    /// A numbered file is one of several, unless it was named itself.
    ///
    /// @throws IncompleteCheckpointException where one of numbered files is missing
    void requireAll(boolean named) throws IncompleteCheckpointException {
        TreeMap<Integer, String> numbers = new TreeMap<>();
        int count = 0;
        for (String file : files) {
            Matcher matcher = NUMBERED.matcher(file);
            if (matcher.matches() && index.isEmpty() && !named) {
                numbers.put(Integer.parseInt(matcher.group(1)), file);
                count = Math.max(count, Integer.parseInt(matcher.group(2)));
            }
        }
        for (int i = 1; i <= count; i++) {
            if (!numbers.containsKey(i)) {
                throw new IncompleteCheckpointException(
                        folder.toString(),
                        "file %d of %d is not there".formatted(i, count),
                        "all of them",
                        "copy it from where the model was written");
            }
        }
    }
}
