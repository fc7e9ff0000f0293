"""The virtual air: Bumble's link and controllers, with what RADIO.md found missing in them.

Added here: advertisements that are not connectable (a belt goes on with its beacon while connected) and real scan
responses, advertisements only to those who listen, a reset and a lost host that end connections as a supervision
timeout would, connecting that can be cancelled, centrals with any kind of address, data length 251.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from bumble import hci, ll
from bumble.controller import Connection, Controller, LegacyAdvertiser
from bumble.core import PhysicalTransport
from bumble.link import LocalLink

__all__ = ["AdapterController", "BeltAdvertisement", "BeltController", "VirtualLink"]

RSSI_DBM = -58
L2CAP_HEADER_BYTES = 4
UNACKNOWLEDGED = (0x1B, 0x52)  # ATT handle value notification, write command
DATA_BYTES = 251
INTERVAL_MS_MIN = 20.0  # real time; below it a Python host does nothing but read advertisements
RESET = bytes(hci.HCI_Reset_Command())
SUPERVISION_TIMEOUT = hci.HCI_ErrorCode.CONNECTION_TIMEOUT_ERROR


@dataclass
class BeltAdvertisement(ll.AdvInd):
    """A legacy advertisement with its scan response."""

    response: bytes = b""
    connectable: bool = True


class VirtualLink(LocalLink):
    """All controllers that can hear each other; no belt advertises more often than `interval_ms_min` of real time."""

    def __init__(self, interval_ms_min: float = INTERVAL_MS_MIN) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.interval_ms_min = interval_ms_min
        self.frames_sent = 0
        self.frames_lost = 0
        self._loss = 0.0
        self._random = random.Random(0)
        self._hidden: set[hci.Address] = set()

    def lose(self, share: float, seed: int) -> None:
        """From now on lose that share of advertisements, notifications and writes without response, at random.

        Requests and responses are spared: the link layer repeats those, a lost one would be a lost connection. What
        real hosts do lose are notifications in bursts (RADIO.md, field failure 8).
        """
        self._loss = share
        self._random = random.Random(seed)

    def hide(self, address: hci.Address) -> None:
        """The belt with that address is out of everybody's range: its connections end as by a supervision timeout."""
        self._hidden.add(address)
        belt = self.belt_at(address)
        if isinstance(belt, BeltController):
            belt.drop_connections()

    def show(self, address: hci.Address) -> None:
        """It is back."""
        self._hidden.discard(address)

    def _is_lost(self) -> bool:
        lost = self._loss > 0 and self._random.random() < self._loss
        self.frames_lost += lost
        return lost

    def send_advertising_pdu(self, sender_controller: Controller, packet: ll.AdvertisingPdu) -> None:
        """Advertisements go to adapters that listen, connection requests to the belt they name."""
        if isinstance(packet, ll.ConnectInd):
            belt = self.belt_at(packet.advertiser_address)
            if belt is not None and packet.advertiser_address not in self._hidden:
                belt.on_ll_advertising_pdu(packet)
            return
        if getattr(packet, "advertiser_address", None) in self._hidden:
            return
        for controller in list(self.controllers):
            if controller is sender_controller or not isinstance(controller, AdapterController):
                continue
            if controller.listens and not self._is_lost():
                controller.on_ll_advertising_pdu(packet)

    def unplug_adapters(self) -> None:
        """Every adapter is pulled out of its host."""
        for adapter in self.adapters:
            adapter.unplug()

    @property
    def adapters(self) -> list[AdapterController]:
        """Adapters that a host has opened, in order."""
        return [controller for controller in self.controllers if isinstance(controller, AdapterController)]

    def belt_at(self, address: hci.Address) -> Controller | None:
        """The belt with that address; an adapter that a host has made a peripheral of is one too."""
        return next((found for found in self.controllers if found.random_address == address), None)

    def send_acl_data(
        self, sender_controller: Controller, destination_address: hci.Address, transport: PhysicalTransport, data: bytes
    ) -> None:
        """Data goes to the other end of the sender's connection, under the address that connection was made with."""
        connection = sender_controller.le_connections.get(destination_address)
        receiver = self.find_le_controller(destination_address)
        if connection is None or receiver is None or connection.self_address not in receiver.le_connections:
            return
        self.frames_sent += 1
        if len(data) > L2CAP_HEADER_BYTES and data[L2CAP_HEADER_BYTES] in UNACKNOWLEDGED and self._is_lost():
            return
        asyncio.get_running_loop().call_soon(_deliver, receiver, connection.self_address, data)

    def send_ll_control_pdu(
        self, sender_address: hci.Address, receiver_address: hci.Address, packet: ll.ControlPdu
    ) -> None:
        """As in the base class, but nobody there is no error: the other end may just have been switched off."""
        receiver = self.find_le_controller(receiver_address)
        if receiver is not None and sender_address in receiver.le_connections:
            asyncio.get_running_loop().call_soon(_deliver_control, receiver, sender_address, packet)


def _deliver(receiver: Controller, sender_address: hci.Address, data: bytes) -> None:
    if sender_address in receiver.le_connections:
        receiver.on_link_acl_data(sender_address, PhysicalTransport.LE, data)


def _deliver_control(receiver: Controller, sender_address: hci.Address, packet: ll.ControlPdu) -> None:
    if sender_address in receiver.le_connections:
        receiver.on_ll_control_pdu(sender_address, packet)


class _VirtualController(Controller):
    """Controller of either side: long data packets, and connections that can be dropped from outside."""

    le_acl_data_packet_length = DATA_BYTES
    acl_data_packet_length = DATA_BYTES
    supported_max_tx_octets = DATA_BYTES
    supported_max_rx_octets = DATA_BYTES
    suggested_max_tx_octets = DATA_BYTES
    le_features = Controller.le_features & ~(
        hci.LeFeatureMask.LE_EXTENDED_ADVERTISING
        | hci.LeFeatureMask.LE_PERIODIC_ADVERTISING
        | hci.LeFeatureMask.LL_PRIVACY
    )

    def drop_connections(self) -> None:
        """End every connection, on both ends, as if this side had fallen silent."""
        for connection in list(self.le_connections.values()):
            connection.send_ll_control_pdu(ll.TerminateInd(SUPERVISION_TIMEOUT))
            self.on_le_disconnected(connection, SUPERVISION_TIMEOUT)

    def on_hci_disconnect_command(self, command: hci.HCI_Disconnect_Command) -> None:
        """As in the base class; who ends a connection that is not there is told so (7.1.6) and not left waiting.

        The kernel would wait for the end in vain, 2 s each time, and never switch the adapter off again.
        """
        if self.find_le_connection_by_handle(command.connection_handle) is None:
            unknown = hci.HCI_ErrorCode.UNKNOWN_CONNECTION_IDENTIFIER_ERROR
            self._send_hci_command_status(unknown, command.op_code)
            return
        super().on_hci_disconnect_command(command)

    def on_le_disconnected(self, connection: Connection, reason: int) -> None:
        """As in the base class; a second notice of the same end is ignored."""
        if self.le_connections.get(connection.peer_address) is connection:
            super().on_le_disconnected(connection, reason)


class _BeltAdvertiser(LegacyAdvertiser):
    """Sends a BeltAdvertisement each interval; `enabled`, which a connection request looks at, means connectable."""

    def __init__(self, controller: Controller) -> None:
        super().__init__(controller, own_address_type=hci.Address.RANDOM_DEVICE_ADDRESS)
        self.interval_s = INTERVAL_MS_MIN / 1000

    def begin(self, interval_ms: float, connectable: bool, data: bytes, response: bytes) -> None:
        """Replace what is advertised; the running timer is kept, so frequent updates do not shift it."""
        self.interval_s = interval_ms / 1000
        self.enabled = connectable
        self.advertising_data = data
        self.scan_response_data = response
        if self.timer_handle is None:
            self._fire()

    def _fire(self) -> None:
        self.controller.send_advertising_pdu(
            BeltAdvertisement(
                advertiser_address=self.address,
                data=self.advertising_data,
                response=self.scan_response_data,
                connectable=self.enabled,
            )
        )
        self.timer_handle = asyncio.get_running_loop().call_later(self.interval_s, self._fire)


class BeltController(_VirtualController):
    """The radio chip of a belt: advertises by itself, so that one payload a second costs no HCI traffic."""

    def __init__(self, name: str, link: VirtualLink) -> None:
        super().__init__(name, link=link)
        self.advertiser = _BeltAdvertiser(self)
        self.le_legacy_advertiser = self.advertiser

    def power_off(self) -> None:
        """Silent at once; the other ends notice it as a supervision timeout."""
        self.advertiser.stop()
        self.drop_connections()
        if self.link is not None and self in self.link.controllers:
            self.link.remove_controller(self)


class _HostAdvertiser(LegacyAdvertiser):
    """What a host has set by HCI, with its scan response: so a controller may also be the dongle of a belt."""

    def send_advertising_data(self) -> None:
        """One advertisement, of whichever type."""
        if self.enabled:
            kinds = hci.HCI_LE_Set_Advertising_Parameters_Command.AdvertisingType
            connectable = self.advertising_type == kinds.ADV_IND
            self.controller.send_advertising_pdu(
                BeltAdvertisement(self.address, self.advertising_data, self.scan_response_data, connectable)
            )


class AdapterController(_VirtualController):
    """The adapter of one gateway, or of one belt as a dongle is; `unplug` takes it away from its host."""

    unplug: Callable[[], None] = staticmethod(lambda: None)
    refuses_next = False
    _is_locked = False

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.le_legacy_advertiser = _HostAdvertiser(self)

    def lock_up(self) -> None:
        """Say and hear nothing from now on, until the host resets this adapter (RADIO.md, field failure 4)."""
        self._is_locked = True

    def on_packet(self, packet: bytes) -> None:
        """From the host."""
        if self._is_locked and not packet.startswith(RESET):
            return
        self._is_locked = False
        super().on_packet(packet)

    def send_hci_packet(self, packet: hci.HCI_Packet) -> None:
        """To the host."""
        if not self._is_locked:
            super().send_hci_packet(packet)

    def on_hci_le_create_connection_command(self, command: hci.HCI_LE_Create_Connection_Command) -> None:
        """Connect, or refuse once after `refuses_next` was set (RADIO.md, field failure 5)."""
        if self.refuses_next:
            self.refuses_next = False
            reason = hci.HCI_ErrorCode.CONNECTION_REJECTED_DUE_TO_LIMITED_RESOURCES_ERROR
            self._send_hci_command_status(hci.HCI_ErrorCode.SUCCESS, command.op_code)
            self._not_connected(command.peer_address, reason)
            return
        super().on_hci_le_create_connection_command(command)

    @property
    def listens(self) -> bool:
        """Scanning, or waiting for the belt it wants to connect to."""
        return self.le_scan_enable or self.pending_le_connection is not None

    def on_ll_advertising_pdu(self, packet: ll.AdvertisingPdu) -> None:
        """Report an advertisement to the host, and connect if it is the one waited for."""
        if not isinstance(packet, BeltAdvertisement):
            super().on_ll_advertising_pdu(packet)
            return
        if self.le_scan_enable:
            event_type = hci.HCI_LE_Advertising_Report_Event.EventType
            self._report(event_type.ADV_IND if packet.connectable else event_type.ADV_SCAN_IND, packet, packet.data)
            if packet.response:
                self._report(event_type.SCAN_RSP, packet, packet.response)
        pending = self.pending_le_connection
        if packet.connectable and pending is not None and pending.peer_address == packet.advertiser_address:
            self.create_le_connection(packet.advertiser_address)

    def _report(self, event_type: int, packet: BeltAdvertisement, data: bytes) -> None:
        report = hci.HCI_LE_Advertising_Report_Event.Report(
            event_type=hci.HCI_LE_Advertising_Report_Event.EventType(event_type),
            address_type=packet.advertiser_address.address_type,
            address=packet.advertiser_address,
            data=data,
            rssi=RSSI_DBM,
        )
        self.send_hci_packet(hci.HCI_LE_Advertising_Report_Event([report]))

    def on_hci_reset_command(self, command: hci.HCI_Reset_Command) -> hci.HCI_StatusReturnParameters:
        """A real reset forgets everything."""
        self.forget_host()
        return super().on_hci_reset_command(command)

    def forget_host(self) -> None:
        """The host has reset this adapter or is gone: no scan, no connecting, no connections."""
        self.le_scan_enable = False
        self.pending_le_connection = None
        self.drop_connections()

    def on_hci_le_create_connection_cancel_command(
        self, command: hci.HCI_LE_Create_Connection_Cancel_Command
    ) -> hci.HCI_StatusReturnParameters:
        """Cancelling answers the pending command with an error, as the specification says (7.8.13)."""
        pending, self.pending_le_connection = self.pending_le_connection, None
        if pending is None:
            return hci.HCI_StatusReturnParameters(hci.HCI_ErrorCode.COMMAND_DISALLOWED_ERROR)
        self._not_connected(pending.peer_address, hci.HCI_ErrorCode.UNKNOWN_CONNECTION_IDENTIFIER_ERROR)
        return hci.HCI_StatusReturnParameters(hci.HCI_ErrorCode.SUCCESS)

    def _not_connected(self, peer_address: hci.Address, reason: int) -> None:
        self.send_hci_packet(
            hci.HCI_LE_Connection_Complete_Event(
                status=reason,
                connection_handle=0,
                role=hci.Role.CENTRAL,
                peer_address_type=peer_address.address_type,
                peer_address=peer_address,
                connection_interval=0,
                peripheral_latency=0,
                supervision_timeout=0,
                central_clock_accuracy=0,
            )
        )
