// Reads a belt's standard services with node-ble: prints JSON. Argument: address.
const { createBluetooth } = require('node-ble')

const uuid = short => `0000${short}-0000-1000-8000-00805f9b34fb`

async function main () {
  const { bluetooth, destroy } = createBluetooth()
  const adapter = await bluetooth.defaultAdapter()
  if (!await adapter.isDiscovering()) await adapter.startDiscovery()
  const device = await adapter.waitDevice(process.argv[2].toUpperCase(), 90000)
  await device.connect()
  const gatt = await device.gatt()
  const of = async (service, characteristic) => (await gatt.getPrimaryService(uuid(service))).getCharacteristic(uuid(characteristic))
  const maker = (await (await of('180a', '2a29')).readValue()).toString()
  const battery = (await (await of('180f', '2a19')).readValue())[0]
  const measurement = await of('180d', '2a37')
  const heard = new Promise(resolve => measurement.once('valuechanged', resolve))
  await measurement.startNotifications()
  const value = await Promise.race([heard, new Promise(resolve => setTimeout(resolve, 60000, null))])
  await measurement.stopNotifications()
  await device.disconnect()
  destroy()
  console.log(JSON.stringify({ maker, battery, heart_rate: value === null ? null : value[1] }))
}

main().then(() => process.exit(0), error => { console.error(error); process.exit(1) })
