package io.ucp.formats.deepspeed.universal;

import io.ucp.formats.Coordinate;
import io.ucp.formats.IncompleteCheckpointException;
import io.ucp.formats.deepspeed.FileName;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.SequencedMap;
import java.util.TreeMap;
import java.util.stream.Stream;

/// The names in a universal folder, sorted into what they are. Opens no file.
///
/// @param modelStates in order of model-parallel, then data-parallel rank
/// @param parameters name -> folder
/// @param extra files and folders that are none of this form's
record UniversalFolder(
        Path folder,
        List<RankFile> modelStates,
        SequencedMap<String, Path> parameters,
        List<Path> extra) {
    static final String ZERO = "zero";
    static final String OPTIMIZER_STATE = "optimizer_state.pt";
    static final String SUFFIX = "_universal";

    /// A model states file.
    ///
    /// @param dp its data-parallel rank, -1 where it stands for all of them (stages 0 to 2)
    /// @param mp pipeline rank * tensor-parallel degree + tensor-parallel rank
    record RankFile(Path path, int dp, int mp) {
        Coordinate at(int tensorParallel) {
            Coordinate at =
                    Coordinate.of("pp", mp / tensorParallel).with("tp", mp % tensorParallel);
            return dp < 0 ? at : at.with("dp", dp);
        }
    }

    /// @throws IncompleteCheckpointException where it has no `zero/`, or none of its files
    static UniversalFolder of(Path folder) throws IOException {
        Path zero = folder.resolve(ZERO);
        if (!Files.isDirectory(zero)) {
            throw new IncompleteCheckpointException(
                    folder.toString(),
                    Files.isDirectory(folder)
                            ? "there is no folder zero/"
                            : "there is no such folder",
                    "a folder that DeepSpeed's ds_to_universal.py or this tool wrote",
                    "check what latest_universal names");
        }
        List<RankFile> modelStates = new ArrayList<>();
        List<Path> extra = new ArrayList<>();
        for (Path path : sorted(folder)) {
            switch (FileName.of(path.getFileName().toString())) {
                case FileName.Model(int mp) -> modelStates.add(new RankFile(path, -1, mp));
                case FileName.ModelOfRank(int dp, int mp) ->
                        modelStates.add(new RankFile(path, dp, mp));
                case FileName _ -> {
                    if (!path.equals(zero)) {
                        extra.add(path);
                    }
                }
            }
        }
        modelStates.sort(Comparator.comparingInt(RankFile::mp).thenComparingInt(RankFile::dp));
        SequencedMap<String, Path> parameters = new TreeMap<>();
        for (Path path : sorted(zero)) {
            if (Files.isDirectory(path)) {
                parameters.put(path.getFileName().toString(), path);
            } else if (!path.equals(zero.resolve(OPTIMIZER_STATE))) {
                extra.add(path);
            }
        }
        return new UniversalFolder(folder, modelStates, parameters, extra);
    }

    static List<Path> sorted(Path folder) throws IOException {
        try (Stream<Path> paths = Files.list(folder)) {
            return paths.sorted().toList();
        }
    }

    /// `zero/optimizer_state.pt`.
    ///
    /// @throws IncompleteCheckpointException where it is not there
    Path optimizerState() throws IOException {
        Path path = folder.resolve(ZERO).resolve(OPTIMIZER_STATE);
        if (!Files.isRegularFile(path)) {
            throw new IncompleteCheckpointException(
                    path.toString(),
                    "the file is missing",
                    "the optimizer's common state, without which DeepSpeed does not load",
                    "copy it from where the checkpoint was written, or convert the source again");
        }
        return path;
    }
}
