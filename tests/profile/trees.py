"""What /proc and /sys of four kinds of machine say, as files below a folder."""

from __future__ import annotations

from pathlib import Path

CPU = "sys/devices/system/cpu/cpu0/"
FIRMWARE = "sys/devices/platform/soc/soc:firmware/get_throttled"

PI4 = {
    "proc/device-tree/model": "Raspberry Pi 4 Model B Rev 1.4\0",
    "proc/device-tree/compatible": "raspberrypi,4-model-b\0brcm,bcm2711\0",
    "proc/cpuinfo": "processor\t: 0\nCPU implementer\t: 0x41\nCPU part\t: 0xd08\n",
    "proc/meminfo": "MemTotal:        3884376 kB\nMemAvailable:    3301236 kB\n",
    "proc/loadavg": "0.08 0.03 0.01 1/150 812\n",
    "proc/stat": "cpu  1000 0 500 90000 10 0 5 0 0 0\ncpu0 250 0 125 1 1 0 1 0 0 0\n",
    "sys/class/thermal/thermal_zone0/type": "cpu-thermal\n",
    "sys/class/thermal/thermal_zone0/temp": "48686\n",
    CPU + "cpufreq/scaling_governor": "ondemand\n",
    CPU + "cpufreq/scaling_driver": "cpufreq-dt\n",
    CPU + "cpufreq/scaling_cur_freq": "1500000\n",
    CPU + "cpufreq/cpuinfo_max_freq": "1800000\n",
    FIRMWARE: "0\n",
}

PI_ZERO_2 = PI4 | {
    "proc/device-tree/model": "Raspberry Pi Zero 2 W Rev 1.0\0",
    "proc/device-tree/compatible": "raspberrypi,model-zero-2-w\0brcm,bcm2837\0",
    "proc/cpuinfo": "processor\t: 0\nCPU part\t: 0xd03\n",
    "proc/meminfo": "MemTotal:         437284 kB\nMemAvailable:      41236 kB\n",
    "sys/class/thermal/thermal_zone0/temp": "81932\n",
    CPU + "cpufreq/scaling_governor": "powersave\n",
    # Under-voltage now, and throttled since the start.
    FIRMWARE: "40001\n",
}

LAPTOP = {
    "sys/devices/virtual/dmi/id/sys_vendor": "LENOVO\n",
    "sys/devices/virtual/dmi/id/product_name": "21CB0000GE\n",
    "proc/cpuinfo": "processor\t: 0\nmodel name\t: 12th Gen Intel(R)  Core(TM) i7-1260P\n",
    "proc/meminfo": "MemTotal:       16114376 kB\nMemAvailable:   12301236 kB\n",
    "proc/loadavg": "1.50 0.90 0.50 3/900 4242\n",
    "proc/stat": "cpu  1000 0 500 90000 10 0 0 0 0 0\n",
    "sys/class/thermal/thermal_zone0/type": "acpitz\n",
    "sys/class/thermal/thermal_zone0/temp": "27800\n",
    "sys/class/thermal/thermal_zone1/type": "iwlwifi_1\n",
    "sys/class/thermal/thermal_zone1/temp": "-274000\n",
    "sys/class/thermal/thermal_zone7/type": "x86_pkg_temp\n",
    "sys/class/thermal/thermal_zone7/temp": "61000\n",
    CPU + "cpufreq/scaling_governor": "powersave\n",
    CPU + "cpufreq/scaling_driver": "intel_pstate\n",
    CPU + "cpufreq/scaling_cur_freq": "2100342\n",
    CPU + "thermal_throttle/core_throttle_count": "3\n",
    CPU + "thermal_throttle/package_throttle_count": "4\n",
    "sys/class/power_supply/AC/type": "Mains\n",
    "sys/class/power_supply/AC/online": "0\n",
    "sys/class/power_supply/BAT0/type": "Battery\n",
    "sys/class/powercap/intel-rapl:0/name": "package-0\n",
    "sys/class/powercap/intel-rapl:0/energy_uj": "262143000000\n",
    "sys/class/powercap/intel-rapl:0/max_energy_range_uj": "262143328850\n",
    "sys/class/powercap/intel-rapl:0:0/energy_uj": "99\n",
}

CONTAINER = {
    ".dockerenv": "",
    "proc/cpuinfo": "processor\t: 0\nmodel name\t: AMD EPYC 9B14\n",
    "proc/meminfo": "MemTotal:       65840000 kB\nMemAvailable:   60000000 kB\n",
    "proc/stat": "cpu  1000 0 500 90000 10 0 0 40 0 0\n",
    "sys/fs/cgroup/memory.max": "536870912\n",
}


def plant(root: Path, files: dict[str, str]) -> Path:
    """Write the files below `root`, which is given back."""
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root
