package io.ucp.formats.deepspeed;

import io.ucp.formats.CarriedFile;
import io.ucp.formats.Coordinate;
import io.ucp.formats.deepspeed.CheckpointFiles.Rank;
import io.ucp.io.MalformedFileException;
import io.ucp.io.PlainFile;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.stream.Stream;

/// Every file of the tag folder, and of the trainer's folder around it, as it lies there. Roles:
/// `model_states`, `optimizer`, `layer`, `expert`, `expert_optimizer`, `side` (any other file of
/// the tag folder), `beside` (a file of the trainer's folder around the tag folder; its path begins
/// with `beside/`).
final class CarriedFiles {
    private CarriedFiles() {}

    static List<CarriedFile> of(CheckpointFiles files, Degrees degrees, Weights weights)
            throws IOException {
        List<CarriedFile> carried = new ArrayList<>();
        for (Map.Entry<Rank, ModelStates> e : files.models().entrySet()) {
            Coordinate at = degrees.at(e.getKey().mp());
            carried.add(
                    of(
                            e.getValue().file(),
                            "model_states",
                            files.perRank() ? at.with("dp", e.getKey().dp()) : at));
        }
        for (Map.Entry<Rank, OptimizerStates> e : files.optimizers().entrySet()) {
            Coordinate at = degrees.at(e.getKey().mp()).with("dp", e.getKey().dp());
            carried.add(of(e.getValue().file(), "optimizer", at));
        }
        for (CheckpointFile file : files.layers()) {
            carried.add(
                    of(
                            file,
                            "layer",
                            weights.layers().getOrDefault(file.label(), Coordinate.NONE)));
        }
        for (CheckpointFile file : files.experts()) {
            int mp = ((FileName.Expert) file.name()).mp();
            carried.add(of(file, "expert", degrees.at(mp)));
        }
        for (CheckpointFile file : files.expertOptimizers()) {
            FileName.ExpertOptimizer name = (FileName.ExpertOptimizer) file.name();
            carried.add(of(file, "expert_optimizer", degrees.at(name.mp()).with("ep", name.ep())));
        }
        for (Path other : files.others()) {
            carried.add(side(other, TagFolder.nameOf(other), "side"));
        }
        Optional<Path> trainer = TagFolder.trainerFolder(files.folder());
        if (trainer.isPresent()) {
            try (Stream<Path> entries = Files.list(trainer.get())) {
                for (Path path : entries.filter(Files::isRegularFile).sorted().toList()) {
                    carried.add(side(path, "beside/" + TagFolder.nameOf(path), "beside"));
                }
            }
        }
        return carried;
    }

    private static CarriedFile of(CheckpointFile file, String role, Coordinate at) {
        return file.carried(file.label(), role, at);
    }

    /// A torch file is opened, so that it can be read; one that cannot be is carried by its bytes.
    private static CarriedFile side(Path path, String as, String role) throws IOException {
        String name = TagFolder.nameOf(path);
        if (name.endsWith(".pt") || name.endsWith(".pth") || name.endsWith(".bin")) {
            try {
                return CheckpointFile.open(path).carried(as, role, Coordinate.NONE);
            } catch (MalformedFileException _) {
                // Its bytes are kept; what it should have been is nothing the state depends on.
            }
        }
        return new CarriedFile(
                as,
                role,
                Coordinate.NONE,
                Optional.of(PlainFile.of(path)),
                Optional.empty(),
                Map.of());
    }
}
