/*
 * The devices of Lodge's PC that ACPI has to describe (ACPI 6.4, chapters 6
 * and 19). What differs from one machine to the next is read from a record
 * that machine/acpi/acpi.c puts before the tables.
 */
DefinitionBlock ("dsdt.aml", "DSDT", 2, "LODGE ", "LODGEPC ", 0x00000001)
{
    // The address is put in by acpi.c.
    OperationRegion (BINF, SystemMemory, 0x000E0000, 0x20)
    Field (BINF, DWordAcc, NoLock, Preserve)
    {
        M64B, 64,   // PCI window above 4 GB: base
        M64S, 64,   // bytes; 0: none
        COMS, 8,    // bit n: COM(n+1) is there
        HPTP, 8,    // there is an HPET
        KBCP, 8,    // there is an 8042
        , 8,
        M32B, 32,   // PCI window below 4 GB: base
        PMBA, 16,   // ports of the power management
    }

    Name (PICM, Zero)   // 0: 8259s, 1: IOAPIC
    Method (_PIC, 1, NotSerialized)
    {
        PICM = Arg0
    }

    // _STA of a device: all there, or not at all.
    Method (HERE, 1, NotSerialized)
    {
        If (Arg0)
        {
            Return (0x0F)
        }
        Return (Zero)
    }

    // SLP_TYP of the PIIX4: 0 is soft off.
    Name (\_S5, Package () { Zero, Zero, Zero, Zero })

    Scope (\_SB)
    {
        Device (PCI0)
        {
            Name (_HID, EisaId ("PNP0A03"))
            Name (_UID, Zero)
            Name (_BBN, Zero)

            Name (CRS, ResourceTemplate ()
            {
                WordBusNumber (ResourceProducer, MinFixed, MaxFixed, PosDecode,
                    0x0000, 0x0000, 0x00FF, 0x0000, 0x0100)
                IO (Decode16, 0x0CF8, 0x0CF8, 0x01, 0x08)
                WordIO (ResourceProducer, MinFixed, MaxFixed, PosDecode,
                    EntireRange, 0x0000, 0x0000, 0x0CF7, 0x0000, 0x0CF8)
                WordIO (ResourceProducer, MinFixed, MaxFixed, PosDecode,
                    EntireRange, 0x0000, 0x0D00, 0xFFFF, 0x0000, 0xF300)
                DWordMemory (ResourceProducer, PosDecode, MinFixed, MaxFixed,
                    Cacheable, ReadWrite,
                    0x00000000, 0x000A0000, 0x000BFFFF, 0x00000000, 0x00020000)
                DWordMemory (ResourceProducer, PosDecode, MinFixed, MaxFixed,
                    NonCacheable, ReadWrite,
                    0x00000000, 0xC0000000, 0xFEBFFFFF, 0x00000000, 0x3EC00000,
                    , , W32)
            })
            Name (CR64, ResourceTemplate ()
            {
                QWordMemory (ResourceProducer, PosDecode, MinFixed, MaxFixed,
                    Cacheable, ReadWrite,
                    0x0000000000000000, 0x0000008000000000,
                    0x000000FFFFFFFFFF, 0x0000000000000000,
                    0x0000008000000000)
            })
            // The offsets are those of _MIN, _MAX and _LEN in the descriptor.
            Method (_CRS, 0, Serialized)
            {
                CreateDWordField (CRS, ^W32._MIN, LMIN)
                CreateDWordField (CRS, ^W32._LEN, LLEN)
                LMIN = M32B
                LLEN = 0xFEC00000 - M32B
                If (M64S == Zero)
                {
                    Return (CRS)
                }
                CreateQWordField (CR64, 14, WMIN)
                CreateQWordField (CR64, 22, WMAX)
                CreateQWordField (CR64, 38, WLEN)
                WMIN = M64B
                WLEN = M64S
                WMAX = M64B + M64S - One
                Return (ConcatenateResTemplate (CRS, CR64))
            }

            // PIRQ A to D by (slot + pin - 1) mod 4: to IOAPIC inputs 16 to
            // 19, or by the links to an input of the 8259s.
            Method (_PRT, 0, Serialized)
            {
                Local0 = Package (128) {}
                Local1 = Zero
                While (Local1 < 128)
                {
                    Local2 = Local1 >> 2
                    Local3 = (Local1 + Local2 + 3) & 3
                    If (PICM)
                    {
                        Local4 = Package (4) { Zero, Zero, Zero, Zero }
                        Local4 [3] = 16 + Local3
                    }
                    ElseIf (Local3 == 0)
                    {
                        Local4 = Package (4) { Zero, Zero, LNKA, Zero }
                    }
                    ElseIf (Local3 == 1)
                    {
                        Local4 = Package (4) { Zero, Zero, LNKB, Zero }
                    }
                    ElseIf (Local3 == 2)
                    {
                        Local4 = Package (4) { Zero, Zero, LNKC, Zero }
                    }
                    Else
                    {
                        Local4 = Package (4) { Zero, Zero, LNKD, Zero }
                    }
                    Local4 [0] = (Local2 << 16) | 0xFFFF
                    Local4 [1] = Local1 & 3
                    Local0 [Local1] = Local4
                    Local1++
                }
                Return (Local0)
            }

            // PIIX3, function 0: the ISA bridge.
            Device (ISA)
            {
                Name (_ADR, 0x00010000)
                OperationRegion (PIRQ, PCI_Config, 0x60, 0x04)
                Field (PIRQ, ByteAcc, NoLock, Preserve)
                {
                    PRQA, 8,    // 7: off; 3:0: IRQ
                    PRQB, 8,
                    PRQC, 8,
                    PRQD, 8,
                }

                Device (PIC)
                {
                    Name (_HID, EisaId ("PNP0000"))
                    Name (_CRS, ResourceTemplate ()
                    {
                        IO (Decode16, 0x0020, 0x0020, 0x01, 0x02)
                        IO (Decode16, 0x00A0, 0x00A0, 0x01, 0x02)
                        IO (Decode16, 0x04D0, 0x04D0, 0x01, 0x02)
                        IRQNoFlags () { 2 }
                    })
                }

                Device (DMAC)
                {
                    Name (_HID, EisaId ("PNP0200"))
                    Name (_CRS, ResourceTemplate ()
                    {
                        IO (Decode16, 0x0000, 0x0000, 0x01, 0x10)
                        IO (Decode16, 0x0081, 0x0081, 0x01, 0x0F)
                        IO (Decode16, 0x00C0, 0x00C0, 0x01, 0x20)
                        DMA (Compatibility, BusMaster, Transfer8) { 4 }
                    })
                }

                Device (TMR)
                {
                    Name (_HID, EisaId ("PNP0100"))
                    Name (_CRS, ResourceTemplate ()
                    {
                        IO (Decode16, 0x0040, 0x0040, 0x01, 0x04)
                        IRQNoFlags () { 0 }
                    })
                }

                Device (RTC)
                {
                    Name (_HID, EisaId ("PNP0B00"))
                    Name (_CRS, ResourceTemplate ()
                    {
                        IO (Decode16, 0x0070, 0x0070, 0x01, 0x08)
                        IRQNoFlags () { 8 }
                    })
                }

                Device (SPKR)
                {
                    Name (_HID, EisaId ("PNP0800"))
                    Name (_CRS, ResourceTemplate ()
                    {
                        IO (Decode16, 0x0061, 0x0061, 0x01, 0x01)
                    })
                }

                Device (FPU)
                {
                    Name (_HID, EisaId ("PNP0C04"))
                    Name (_CRS, ResourceTemplate ()
                    {
                        IO (Decode16, 0x00F0, 0x00F0, 0x01, 0x10)
                        IRQNoFlags () { 13 }
                    })
                }

                Device (KBD)
                {
                    Name (_HID, EisaId ("PNP0303"))
                    Method (_STA, 0, NotSerialized)
                    {
                        Return (HERE (KBCP))
                    }
                    Name (_CRS, ResourceTemplate ()
                    {
                        IO (Decode16, 0x0060, 0x0060, 0x01, 0x01)
                        IO (Decode16, 0x0064, 0x0064, 0x01, 0x01)
                        IRQNoFlags () { 1 }
                    })
                }

                Device (MOU)
                {
                    Name (_HID, EisaId ("PNP0F13"))
                    Method (_STA, 0, NotSerialized)
                    {
                        Return (HERE (KBCP))
                    }
                    Name (_CRS, ResourceTemplate ()
                    {
                        IRQNoFlags () { 12 }
                    })
                }

                Device (COM1)
                {
                    Name (_HID, EisaId ("PNP0501"))
                    Name (_UID, 1)
                    Method (_STA, 0, NotSerialized)
                    {
                        Return (HERE (COMS & 1))
                    }
                    Name (_CRS, ResourceTemplate ()
                    {
                        IO (Decode16, 0x03F8, 0x03F8, 0x01, 0x08)
                        IRQNoFlags () { 4 }
                    })
                }

                Device (COM2)
                {
                    Name (_HID, EisaId ("PNP0501"))
                    Name (_UID, 2)
                    Method (_STA, 0, NotSerialized)
                    {
                        Return (HERE (COMS & 2))
                    }
                    Name (_CRS, ResourceTemplate ()
                    {
                        IO (Decode16, 0x02F8, 0x02F8, 0x01, 0x08)
                        IRQNoFlags () { 3 }
                    })
                }

                Device (COM3)
                {
                    Name (_HID, EisaId ("PNP0501"))
                    Name (_UID, 3)
                    Method (_STA, 0, NotSerialized)
                    {
                        Return (HERE (COMS & 4))
                    }
                    Name (_CRS, ResourceTemplate ()
                    {
                        IO (Decode16, 0x03E8, 0x03E8, 0x01, 0x08)
                        IRQNoFlags () { 4 }
                    })
                }

                Device (COM4)
                {
                    Name (_HID, EisaId ("PNP0501"))
                    Name (_UID, 4)
                    Method (_STA, 0, NotSerialized)
                    {
                        Return (HERE (COMS & 8))
                    }
                    Name (_CRS, ResourceTemplate ()
                    {
                        IO (Decode16, 0x02E8, 0x02E8, 0x01, 0x08)
                        IRQNoFlags () { 3 }
                    })
                }

                // What belongs to nobody else: port 80h, A20 and reset, power
                // management.
                Device (MBRD)
                {
                    Name (_HID, EisaId ("PNP0C02"))
                    Name (_UID, Zero)
                    Name (CRS, ResourceTemplate ()
                    {
                        IO (Decode16, 0x0080, 0x0080, 0x01, 0x01)
                        IO (Decode16, 0x0092, 0x0092, 0x01, 0x01)
                        IO (Decode16, 0x00B2, 0x00B2, 0x01, 0x02)
                        IO (Decode16, 0x0600, 0x0600, 0x01, 0x40, PMIO)
                        IO (Decode16, 0x0700, 0x0700, 0x01, 0x10)
                    })
                    Method (_CRS, 0, Serialized)
                    {
                        CreateWordField (CRS, ^PMIO._MIN, PMIN)
                        CreateWordField (CRS, ^PMIO._MAX, PMAX)
                        PMIN = PMBA
                        PMAX = PMBA
                        Return (CRS)
                    }
                }
            }
        }

        Device (HPET)
        {
            Name (_HID, EisaId ("PNP0103"))
            Method (_STA, 0, NotSerialized)
            {
                Return (HERE (HPTP))
            }
            Name (_CRS, ResourceTemplate ()
            {
                Memory32Fixed (ReadOnly, 0xFED00000, 0x00000400)
            })
        }

        // Interrupt links: PIRQ A to D of the PIIX3, to IRQs that no ISA
        // device has.
        Name (LPRS, ResourceTemplate ()
        {
            IRQ (Level, ActiveLow, Shared) { 5, 10, 11 }
        })
        Name (LCRS, ResourceTemplate ()
        {
            IRQ (Level, ActiveLow, Shared) { 5 }
        })
        // Current setting as resources, from a PIRQRC.
        Method (LGET, 1, Serialized)
        {
            CreateWordField (LCRS, 1, LMSK)
            LMSK = Zero
            If (!(Arg0 & 0x80))
            {
                LMSK = One << (Arg0 & 0x0F)
            }
            Return (LCRS)
        }
        // The IRQ that resources ask for.
        Method (LPUT, 1, Serialized)
        {
            CreateWordField (Arg0, 1, SMSK)
            FindSetRightBit (SMSK, Local0)
            If (Local0 == Zero)
            {
                Return (0x80)
            }
            Return (Local0 - One)
        }

        Method (LSTA, 1, NotSerialized)
        {
            If (Arg0 & 0x80)
            {
                Return (0x09)
            }
            Return (0x0B)
        }

        Device (LNKA)
        {
            Name (_HID, EisaId ("PNP0C0F"))
            Name (_UID, 1)
            Method (_PRS, 0, NotSerialized) { Return (LPRS) }
            Method (_STA, 0, NotSerialized) { Return (LSTA (^^PCI0.ISA.PRQA)) }
            Method (_DIS, 0, NotSerialized) { ^^PCI0.ISA.PRQA |= 0x80 }
            Method (_CRS, 0, Serialized) { Return (LGET (^^PCI0.ISA.PRQA)) }
            Method (_SRS, 1, Serialized) { ^^PCI0.ISA.PRQA = LPUT (Arg0) }
        }

        Device (LNKB)
        {
            Name (_HID, EisaId ("PNP0C0F"))
            Name (_UID, 2)
            Method (_PRS, 0, NotSerialized) { Return (LPRS) }
            Method (_STA, 0, NotSerialized) { Return (LSTA (^^PCI0.ISA.PRQB)) }
            Method (_DIS, 0, NotSerialized) { ^^PCI0.ISA.PRQB |= 0x80 }
            Method (_CRS, 0, Serialized) { Return (LGET (^^PCI0.ISA.PRQB)) }
            Method (_SRS, 1, Serialized) { ^^PCI0.ISA.PRQB = LPUT (Arg0) }
        }

        Device (LNKC)
        {
            Name (_HID, EisaId ("PNP0C0F"))
            Name (_UID, 3)
            Method (_PRS, 0, NotSerialized) { Return (LPRS) }
            Method (_STA, 0, NotSerialized) { Return (LSTA (^^PCI0.ISA.PRQC)) }
            Method (_DIS, 0, NotSerialized) { ^^PCI0.ISA.PRQC |= 0x80 }
            Method (_CRS, 0, Serialized) { Return (LGET (^^PCI0.ISA.PRQC)) }
            Method (_SRS, 1, Serialized) { ^^PCI0.ISA.PRQC = LPUT (Arg0) }
        }

        Device (LNKD)
        {
            Name (_HID, EisaId ("PNP0C0F"))
            Name (_UID, 4)
            Method (_PRS, 0, NotSerialized) { Return (LPRS) }
            Method (_STA, 0, NotSerialized) { Return (LSTA (^^PCI0.ISA.PRQD)) }
            Method (_DIS, 0, NotSerialized) { ^^PCI0.ISA.PRQD |= 0x80 }
            Method (_CRS, 0, Serialized) { Return (LGET (^^PCI0.ISA.PRQD)) }
            Method (_SRS, 1, Serialized) { ^^PCI0.ISA.PRQD = LPUT (Arg0) }
        }
    }
}
