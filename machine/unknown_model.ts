// What is said of a `-device` that there is not.

import { OptionError } from "./errors.ts";
import { nearest } from "./nearest.ts";

/** Models of QEMU that its users may expect. */
const OF_QEMU = new RegExp(
  "^(virtio-(9p|balloon|crypto|gpu|gpu-gl|input-host|iommu|keyboard|mouse|scsi|sound|tablet|vga|vga-gl)(-device|-pci)?" +
    "|(vhost|vfio|usb|scsi|ide|ich9|ivshmem|pci|pcie|e1000|ati|bochs|cirrus|secondary|hda|intel|tpm|piix[34]|pvpanic)\\b.*" +
    "|nvme|nvme-.*|megasas|qemu-xhci|nec-usb-xhci|rtl8139|vmxnet3|ne2k_pci|pcnet|i825.*|VGA|ramfb|AC97|ES1370|edu|sd-card|sdhci-pci" +
    "|ioh3420|lsi53c.*|guest-loader|vmcoreinfo|i6300esb)$",
);

/** The error for a model that does not exist, or only in QEMU. */
export function unknownModel(where: string, driver: string, known: readonly string[]): OptionError {
  const onMmio = driver.replace(/-pci(-(non-)?transitional)?$/, "-device");
  if (onMmio !== driver && known.includes(onMmio)) {
    return new OptionError(`${where}: there are no PCI devices; ${onMmio} is the same on virtio-mmio`);
  }
  if (OF_QEMU.test(driver)) {
    return new OptionError(`${where}: '${driver}' is not supported yet; -device help lists what there is`);
  }
  return new OptionError(`${where}: '${driver}' is not a valid device model name${nearest(driver, known)}`);
}
