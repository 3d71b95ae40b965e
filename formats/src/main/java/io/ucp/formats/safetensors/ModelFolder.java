package io.ucp.formats.safetensors;

import io.ucp.formats.IncompleteCheckpointException;
import io.ucp.formats.hub.WeightMap;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import java.util.stream.Stream;

/// Which files of a folder hold the weights, by their names.
///
/// @param folder that holds the files
/// @param files names, in order
/// @param index of the files, where there is one
/// @param pieces whether the files are those of DCP's ranks, which may hold pieces of tensors
record ModelFolder(Path folder, List<String> files, Optional<String> index, boolean pieces) {
    static final String SUFFIX = ".safetensors";
    static final String MODEL = "model" + SUFFIX;
    static final String INDEX_SUFFIX = ".index.json";
    static final String INDEX = MODEL + INDEX_SUFFIX;

    /// Where DCP keeps the pieces beside the whole model that it makes of them.
    private static final String SHARDED = "sharded";

    private static final Pattern NUMBERED =
            Pattern.compile("(.*)-(\\d{5,})-of-(\\d{5,})\\.safetensors");
    private static final Pattern OF_RANK =
            Pattern.compile("shard-(\\d{5,})-model-(\\d{5,})-of-(\\d{5,})\\.safetensors");

    ModelFolder {
        files = List.copyOf(files);
    }

    /// What a folder holds, or a file by itself; empty where there are no weights.
    static Optional<ModelFolder> of(Path path) throws IOException {
        if (Files.isRegularFile(path)) {
            return ofFile(path);
        }
        if (!Files.isDirectory(path)) {
            return Optional.empty();
        }
        TreeSet<String> names = new TreeSet<>();
        try (Stream<Path> entries = Files.list(path)) {
            entries.filter(Files::isRegularFile)
                    .map(file -> file.getFileName().toString())
                    .filter(name -> name.endsWith(SUFFIX) || name.endsWith(INDEX_SUFFIX))
                    .forEach(names::add);
        }
        names.removeIf(name -> StateFiles.isOne(name));
        if (names.contains(INDEX)) {
            return Optional.of(new ModelFolder(path, List.of(), Optional.of(INDEX), false));
        }
        if (names.contains(MODEL)) {
            return Optional.of(new ModelFolder(path, List.of(MODEL), Optional.empty(), false));
        }
        List<String> files = names.stream().filter(name -> name.endsWith(SUFFIX)).toList();
        List<String> indices =
                names.stream().filter(name -> name.endsWith(SUFFIX + INDEX_SUFFIX)).toList();
        if (indices.size() == 1) {
            return Optional.of(
                    new ModelFolder(path, List.of(), Optional.of(indices.getFirst()), false));
        }
        if (files.isEmpty()) {
            Path sharded = path.resolve(SHARDED);
            return Files.isDirectory(sharded) ? of(sharded) : Optional.empty();
        }
        boolean pieces = files.stream().allMatch(name -> OF_RANK.matcher(name).matches());
        return Optional.of(new ModelFolder(path, files, Optional.empty(), pieces));
    }

    private static Optional<ModelFolder> ofFile(Path path) {
        String name = path.getFileName().toString();
        Path folder = Optional.ofNullable(path.toAbsolutePath().getParent()).orElse(path);
        if (name.endsWith(SUFFIX + INDEX_SUFFIX)) {
            return Optional.of(new ModelFolder(folder, List.of(), Optional.of(name), false));
        }
        return name.endsWith(SUFFIX)
                ? Optional.of(new ModelFolder(folder, List.of(name), Optional.empty(), false))
                : Optional.empty();
    }

    /// The folder, or the file where it was named and is not all that its folder holds.
    Path place(Path named) throws IOException {
        boolean file = Files.isRegularFile(named);
        return file && of(folder).equals(Optional.of(this)) ? folder : named;
    }

    /// Which they are, proven to be all.
    ///
    /// @throws IncompleteCheckpointException where one is missing, or where the names do not say
    ///   which of several belong together
    void requireAll(boolean named) throws IOException {
        if (index.isPresent() || named || files.size() == 1) {
            for (String file : files) {
                requireAlone(file, named);
            }
            return;
        }
        TreeMap<Integer, String> numbers = new TreeMap<>();
        Set<String> kinds = new HashSet<>();
        long count = 0;
        for (String file : files) {
            Matcher matcher = (pieces ? OF_RANK : NUMBERED).matcher(file);
            if (!matcher.matches()) {
                throw several();
            }
            kinds.add(pieces ? "" : matcher.group(1) + matcher.group(3));
            count = number(matcher.group(3));
            numbers.put(number(matcher.group(pieces ? 1 : 2)), file);
        }
        if (kinds.size() != 1) {
            throw several();
        }
        long last = pieces ? numbers.lastKey() : count;
        for (int i = 1; i <= last; i++) {
            if (!numbers.containsKey(i)) {
                throw missing(i, last);
            }
        }
        if (numbers.lastKey() > last) {
            throw several();
        }
    }

    /// A numbered file is one of several, unless it was named itself.
    private void requireAlone(String file, boolean named) throws IncompleteCheckpointException {
        Matcher matcher = NUMBERED.matcher(file);
        if (!named
                && !pieces
                && index.isEmpty()
                && matcher.matches()
                && number(matcher.group(3)) > 1) {
            throw missing(number(matcher.group(2)) == 1 ? 2 : 1, number(matcher.group(3)));
        }
    }

    private static int number(String digits) {
        return digits.length() > 9 ? Integer.MAX_VALUE : Integer.parseInt(digits);
    }

    private IncompleteCheckpointException missing(long number, long count) {
        return new IncompleteCheckpointException(
                folder.toString(),
                "file %d of %d is not there".formatted(number, count),
                "all of them",
                "copy it from where the model was written");
    }

    private IncompleteCheckpointException several() {
        return new IncompleteCheckpointException(
                folder.toString(),
                "no %s, no index, and %d files: %s"
                        .formatted(
                                MODEL,
                                files.size(),
                                files.stream().limit(4).collect(Collectors.joining(", "))
                                        + (files.size() > 4 ? ", .." : "")),
                "one model",
                "name the file, or the index, that is meant");
    }

    /// The headers of all files, in order.
    List<Header> headers() throws IOException {
        return Headers.read(folder, files);
    }

    /// The files that an index names, proven to be there.
    ModelFolder named(WeightMap map) throws IOException {
        map.requireFiles();
        return new ModelFolder(folder, new ArrayList<>(map.files()), index, pieces);
    }
}
