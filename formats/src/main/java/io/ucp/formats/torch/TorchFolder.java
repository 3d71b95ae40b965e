package io.ucp.formats.torch;

import io.ucp.formats.Finding;
import io.ucp.io.ByteSource;
import io.ucp.io.Checksummed;
import io.ucp.io.MalformedFileException;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.Optional;
import java.util.stream.Stream;

/// The torch files of a folder, held against the checksums that their containers keep.
public final class TorchFolder {
    private TorchFolder() {}

    /// What the containers among the files keep the CRC-32 of.
    public static List<Checksummed> checksums(Collection<ByteSource> files) throws IOException {
        List<Checksummed> all = new ArrayList<>();
        for (ByteSource file : files) {
            all.addAll(TorchFile.checksums(file, 0, file.size()));
        }
        return all;
    }

    /// Reads every record of every `.pt` file below `folder` and compares its CRC-32 with the
    /// container's: finds any flipped bit of a tensor, also of those that belong to no parameter.
    public static List<Finding> damage(Path folder) throws IOException {
        List<Path> files;
        try (Stream<Path> walk = Files.walk(folder)) {
            files =
                    walk.filter(p -> p.toString().endsWith(".pt"))
                            .filter(Files::isRegularFile)
                            .sorted()
                            .toList();
        }
        List<Finding> out = new ArrayList<>();
        for (Path path : files) {
            damage(() -> TorchFile.open(path)).ifPresent(out::add);
        }
        return out;
    }

    /// Opens a container.
    @FunctionalInterface
    public interface Opening {
        TorchFile open() throws IOException;
    }

    /// What is wrong first with one container, which is opened and read whole for it.
    public static Optional<Finding> damage(Opening opening) throws IOException {
        try {
            TorchFile file = opening.open();
            for (TorchRecord record : file.records()) {
                file.verifyCrc(record);
            }
            return Optional.empty();
        } catch (MalformedFileException e) {
            return Optional.of(new Finding(e.file().toString(), e.problem()));
        }
    }
}
